"""On the line: where parts are made, images come by themselves and results go to other machines."""
