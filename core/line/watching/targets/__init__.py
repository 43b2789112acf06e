"""Where results go: a folder, a CSV file, an SQLite file, a web hook, an MQTT broker."""
