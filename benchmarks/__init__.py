"""Programs that measure, side by side with a reference in the same run on the same machine."""
