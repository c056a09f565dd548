"""What makes choices obvious: rays, trading protocols, obvious strategy-proofness."""
