"""What if: agents who misreport, tastes that differ, unequal budgets, somebody or something withdrawn."""
