package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads and parses the file at path. The error is about reading it; what
// is wrong inside is in the problems.
func Load(path string, env Env) (*Config, []Problem, error) {
	data, err := env.readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration file %q %s: %w", path, fileTrouble(err), err)
	}
	c, problems := Parse(data, path, env)
	return c, problems, nil
}

// Parse checks one YAML document. name is the file's name for messages; its
// folder is where relative paths in the document begin. Every problem is
// returned, in the order of the lines; none is an empty slice. The Config is nil when one of them is
// an Error; otherwise all are Warnings.
func Parse(data []byte, name string, env Env) (*Config, []Problem) {
	c := new(Config)
	w := &walker{
		file:     name,
		resolver: resolver{env: env, dir: filepath.Dir(name)},
		root:     schema(new(Config)),
		lines:    map[string]int{},
		bad:      map[string]bool{},
		referred: map[string]bool{},
		problems: []Problem{},
	}
	if root := w.document(data); root != nil {
		fields := schema(c)
		w.defaults("", fields)
		w.section("", root, fields)
		w.check(c)
	}
	slices.SortStableFunc(w.problems, func(a, b Problem) int { return a.Line - b.Line })
	if HasErrors(w.problems) {
		return nil, w.problems
	}
	return c, w.problems
}

// document returns the root of the only document, or nil after noting why not.
func (w *walker) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	switch {
	case errors.Is(err, io.EOF) || err == nil && isNull(first.Content[0]):
		w.fail(0, "", "the file is empty", "bridge config reference, which prints a file with every key")
		return nil
	case err != nil:
		w.syntax(data, err)
		return nil
	}
	root := first.Content[0]
	if root.Kind != yaml.MappingNode {
		w.fail(root.Line, "", "must be a section of keys, not "+describe(root), "name: acme")
		return nil
	}
	err = decoder.Decode(&second)
	switch {
	case errors.Is(err, io.EOF):
	case err != nil:
		w.syntax(data, err)
	default:
		w.fail(second.Content[0].Line, "", "a second document begins here; a configuration is one document", "a file for each bridge")
	}
	return root
}

// syntax notes an error of the YAML parser: "yaml: line 3: did not find …".
func (w *walker) syntax(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, message = n, text
			}
		}
	}
	hint := ""
	if lines := bytes.Split(data, []byte("\n")); line > 0 && line <= len(lines) {
		near := bytes.Join(lines[line-1:min(line+1, len(lines))], nil)
		if bytes.HasPrefix(bytes.TrimLeft(near, " "), []byte("\t")) || bytes.Contains(near, []byte("\t")) {
			hint = "spaces instead of tabs"
		}
	}
	w.fail(line, "", "is not YAML: "+message, hint)
}
