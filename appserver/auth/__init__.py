"""Who may come in and what they may do: passwords, sessions, tokens, roles, the audit record."""
