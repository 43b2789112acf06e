"""`cfa serve`: inspection over HTTP. `server` runs what `application` answers."""
