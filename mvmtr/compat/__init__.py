"""qmail: its control files and its environment. Nothing here touches a transport."""
