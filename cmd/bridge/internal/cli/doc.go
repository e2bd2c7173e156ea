// Package cli is the command line: one file a command. It wires the stages
// together, owns signals and exit codes, and is the only place that knows all
// packages.
package cli
