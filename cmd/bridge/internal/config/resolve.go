package config

import (
	"path/filepath"
	"strings"
)

// resolver replaces references in one value.
type resolver struct {
	env Env
	dir string // where relative paths begin
}

// resolve replaces ${env:NAME} and ${file:PATH} in s, and $${ by ${. What is
// put in is not looked at again. used says whether there was a reference.
func (r resolver) resolve(s string) (out string, used bool, wrong *valueError) {
	var b strings.Builder
	for {
		at := strings.Index(s, "${")
		if at < 0 {
			b.WriteString(s)
			return b.String(), used, nil
		}
		if at > 0 && s[at-1] == '$' { // $${ is ${ in plain text
			b.WriteString(s[:at-1] + "${")
			s = s[at+2:]
			continue
		}
		b.WriteString(s[:at])
		reference, rest, closed := strings.Cut(s[at+2:], "}")
		if !closed {
			return "", used, &valueError{message: `has a "${" without its "}"`, hint: `"$${" if it is meant as text`}
		}
		value, wrong := r.lookup(reference)
		if wrong != nil {
			return "", true, wrong
		}
		b.WriteString(value)
		used = true
		s = rest
	}
}

func (r resolver) lookup(reference string) (string, *valueError) {
	scheme, name, _ := strings.Cut(reference, ":")
	switch {
	case scheme == "env" && isVariable(name):
		value, ok := r.env.lookup(name)
		if !ok {
			return "", &valueError{message: "environment variable " + name + " is not set", hint: "export " + name + "=…"}
		}
		return value, nil
	case scheme == "file" && name != "":
		data, err := r.env.readFile(r.path(name))
		if err != nil {
			return "", &valueError{message: "file " + quote(name) + " " + fileTrouble(err)}
		}
		value := strings.TrimSuffix(string(data), "\n")
		return strings.TrimSuffix(value, "\r"), nil
	}
	wrong := &valueError{message: quote("${"+reference+"}") + " is not a reference", hint: "${env:NAME} or ${file:PATH}, or $${ for plain text"}
	if isVariable(reference) {
		wrong.hint = "${env:" + reference + "}"
	}
	return "", wrong
}

// path puts a relative path into the configuration's folder.
func (r resolver) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, name)
}

// isVariable says whether s is a portable name of an environment variable.
func isVariable(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
