"""From a data set's archives, as their owner publishes them, to the tiles that the table of data sets describes."""
