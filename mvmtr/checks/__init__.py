"""mvmtr's own checks. Each provides L{ICheck<mvmtr.interfaces.ICheck>}."""
