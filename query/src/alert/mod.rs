//! Alert rules: a Prometheus rules file, evaluated on time, with state that survives restarts.
