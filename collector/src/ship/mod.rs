//! An agent's sender: batches from its sources go to a distant server, in order, until acknowledged.
