"""The built-in functions, a file a group. See L{mvmtr.mfl.signatures} for how one is stated."""
