"""The hooks of a startup file in a session: what MFL (L{mvmtr.mfl}) asks is answered here."""
