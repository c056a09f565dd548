"""Markets whose quotas cross: an equilibrium, and a lottery over assignments, instance by instance."""
