"""The protocol as three pure steps: pretrain a large model, search in it, transfer what was found."""
