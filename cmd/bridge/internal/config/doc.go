// Package config reads the bridge's configuration: a YAML document becomes a
// checked Config, or a list of all that is wrong with it.
//
// # What it does
//
// Parse walks the YAML tree along one table of fields (schema.go), which holds
// each key's type, default, range and meaning. The same table prints the
// reference. References ${env:NAME} and ${file:PATH} are replaced inside of
// scalar values after parsing, so that no value can change the document's
// structure, and $${ is plain text. The rules that are about more than one key
// are in check.go. The files that a TLS section names are read and checked
// here too.
//
// # What it promises
//
// Every problem is reported at once, with line, path, and what to try. Unknown
// keys, keys that are there twice, values of the wrong type or out of range,
// and further documents are errors. A Config that Parse returned needs no
// further check of its own: every default is filled in. Secrets have a type
// that does not print. No problem holds a secret or the value of a reference,
// also when it stands in the wrong place.
//
// # What it does not do
//
// It reaches no network and does not know whether the org, the brokers or the
// registry agree. It reads no environment variable that the file does not name.
//
// # Concurrency
//
// The package has no state. A Config is not changed after it was returned.
//
// # Errors
//
// Load's error is about reading the file. All else is a Problem: an Error makes
// the Config nil, a Warning does not.
package config
