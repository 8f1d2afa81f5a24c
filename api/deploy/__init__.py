"""The first start of a village's containers: secrets, files, and the managers' login."""
