"""The limits of the rules: each struct is a table of the policy file, each field a key.

A figure without a source in docs/sources.md is ours, and says so. Powers are active watts.
"""
