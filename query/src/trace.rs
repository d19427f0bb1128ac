//! Everything of one trace: its log lines across hosts and services, and the exemplars that point to it.
