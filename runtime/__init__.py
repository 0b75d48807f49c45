"""The life of one container: spec, messages, launch, monitor, init, exec, attach, logs."""
