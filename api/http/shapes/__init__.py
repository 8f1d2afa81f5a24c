"""What the API answers, as OpenAPI describes it. Moments are UTC, units are in the names."""
