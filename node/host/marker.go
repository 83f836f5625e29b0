package host

// EnvRunDir is in the environment of a node's daemon and of everything that it starts: the node's
// run directory. By it, all processes of a node can be found.
const EnvRunDir = "HOLDFAST_RUN_DIR"
