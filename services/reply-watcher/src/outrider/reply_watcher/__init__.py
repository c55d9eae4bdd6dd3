"""Reply-watcher: finds replies, bounces and automatic answers by IMAP, and records them."""
