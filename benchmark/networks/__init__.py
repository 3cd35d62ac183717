"""Networks taken away: files, exports, time and memory."""
