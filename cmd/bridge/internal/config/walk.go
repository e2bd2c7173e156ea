package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// walker carries a YAML tree into a table of fields and notes every problem.
type walker struct {
	file     string
	resolver resolver
	root     []field // for hints about keys in the wrong place
	lines    map[string]int
	bad      map[string]bool
	referred map[string]bool // paths whose values are those of references
	merges   int
	problems []Problem
}

func (w *walker) add(severity Severity, line int, path string, wrong *valueError) {
	if severity == Error {
		w.bad[path] = true
	}
	w.problems = append(w.problems, Problem{Severity: severity, File: w.file, Line: line, Path: path, Message: wrong.message, Hint: wrong.hint})
}

func (w *walker) fail(line int, path, message, hint string) {
	w.add(Error, line, path, &valueError{message: message, hint: hint})
}

// given says whether a key is in the file and good; cross-rules are about
// those only.
func (w *walker) given(path string) bool {
	_, ok := w.lines[path]
	return ok && !w.bad[path]
}

// line finds the line of a path, or of the nearest thing around it.
func (w *walker) line(path string) int {
	for path != "" {
		if line, ok := w.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 1
}

// defaults sets what the file may leave out.
func (w *walker) defaults(path string, fields []field) {
	for _, f := range fields {
		if f.section != nil {
			w.defaults(join(path, f.key), f.section)
		}
		if f.def == "" {
			continue
		}
		if wrong := f.value.set(f.def); wrong != nil {
			w.fail(0, join(path, f.key), "the default itself "+wrong.message, "report this as a bug of the bridge")
		}
	}
}

// section walks a mapping.
func (w *walker) section(path string, n *yaml.Node, fields []field) {
	n = w.follow(n)
	if isNull(n) { // a key whose whole content is commented out
		w.missing(path, nil, fields)
		return
	}
	if n.Kind != yaml.MappingNode {
		w.fail(n.Line, path, "must be a section of keys, not "+describe(n), "")
		return
	}
	pairs := w.pairs(path, n, 0)
	for _, pair := range pairs {
		at := slices.IndexFunc(fields, func(f field) bool { return f.key == pair.key })
		if at < 0 {
			if path != "" || !strings.HasPrefix(pair.key, "x-") {
				w.unknown(path, pair, fields)
			}
			continue
		}
		p := join(path, pair.key)
		w.lines[p] = pair.line
		w.field(p, pair.value, fields[at])
	}
	w.missing(path, pairs, fields)
}

// missing reports the required keys that are not among the pairs.
func (w *walker) missing(path string, pairs []pair, fields []field) {
	for _, f := range fields {
		p := join(path, f.key)
		has := func(key string) bool { return slices.ContainsFunc(pairs, func(q pair) bool { return q.key == key }) }
		switch {
		case has(f.key), f.unless != "" && has(f.unless):
		case f.section != nil:
			w.missing(p, nil, f.section)
		case f.required:
			w.fail(w.line(path), p, "is required", exampleOf(f))
		}
	}
}

// exampleOf shows how a missing key could be written.
func exampleOf(f field) string {
	switch {
	case f.items != nil:
		return f.example
	case f.named != nil:
		return f.key + ": {" + f.example + ": {…}}"
	}
	return f.key + ": " + f.example
}

func (w *walker) unknown(path string, got pair, fields []field) {
	hint := ""
	if near, ok := nearest(got.key, keysOf(fields)); ok {
		hint = join(path, near)
	} else if places := placesOf(got.key, "", w.root); len(places) > 0 {
		hint = orList(places)
	} else if len(fields) > 0 {
		hint = "one of " + strings.Join(keysOf(fields), ", ")
	}
	w.fail(got.line, join(path, got.key), "unknown key", hint)
}

// placesOf are the paths at which a key is known.
func placesOf(key, path string, fields []field) (places []string) {
	for _, f := range fields {
		p := join(path, f.key)
		if f.key == key {
			places = append(places, p)
		}
		places = append(places, placesOf(key, p, f.section)...)
		if f.items != nil {
			places = append(places, placesOf(key, p+"[]", f.items(1)[0])...)
		}
		if f.named != nil {
			places = append(places, placesOf(key, p+".NAME", f.named([]string{"NAME"})[0])...)
		}
	}
	return places
}

// field walks the value of one known key.
func (w *walker) field(path string, n *yaml.Node, f field) {
	switch {
	case f.section != nil:
		w.section(path, n, f.section)
	case f.items != nil:
		w.items(path, n, f)
	case f.named != nil:
		w.named(path, n, f)
	case f.list != nil:
		w.list(path, n, f)
	case f.table != nil:
		w.table(path, n, f)
	default:
		w.scalar(path, n, f)
	}
}

// sequence returns the elements of a list, or nil after noting why not.
func (w *walker) sequence(path string, n *yaml.Node, f field) []*yaml.Node {
	n = w.follow(n)
	hint := exampleOf(f)
	switch {
	case isNull(n):
		w.fail(n.Line, path, "has no value", hint)
	case n.Kind != yaml.SequenceNode:
		w.fail(n.Line, path, "must be a list, not "+describe(n), hint)
	case len(n.Content) == 0:
		w.fail(n.Line, path, "must not be empty", hint)
	default:
		return n.Content
	}
	return nil
}

func (w *walker) items(path string, n *yaml.Node, f field) {
	nodes := w.sequence(path, n, f)
	for i, fields := range f.items(len(nodes)) {
		p := index(path, i)
		w.lines[p] = nodes[i].Line
		w.defaults(p, fields)
		w.section(p, nodes[i], fields)
	}
}

// named walks a mapping of names to sections.
func (w *walker) named(path string, n *yaml.Node, f field) {
	pairs := w.entries(path, n, f)
	names := make([]string, len(pairs))
	for i, pair := range pairs {
		names[i] = pair.key
	}
	for i, fields := range f.named(names) {
		p := join(path, names[i])
		w.defaults(p, fields)
		w.section(p, pairs[i].value, fields)
	}
}

// entries returns the keys of a mapping whose names are free, after noting those
// that are not as they must be.
func (w *walker) entries(path string, n *yaml.Node, f field) []pair {
	n = w.follow(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		w.fail(n.Line, path, "must be a section of keys, not "+describe(n), exampleOf(f))
		return nil
	}
	pairs := w.pairs(path, n, 0)
	for _, pair := range pairs {
		p := join(path, pair.key)
		w.lines[p] = pair.line
		if f.name == nil {
			continue
		}
		if wrong := f.name(pair.key); wrong != nil {
			w.add(Error, pair.line, p, wrong.guard(pair.key))
		}
	}
	return pairs
}

func (w *walker) list(path string, n *yaml.Node, f field) {
	for i, node := range w.sequence(path, n, f) {
		p := index(path, i)
		value, ok := w.value(p, node, field{key: "-", value: f.list.item(new(string))})
		if !ok {
			continue
		}
		for part := range strings.SplitSeq(value.text, ",") {
			var item string
			if wrong := f.list.item(&item).set(strings.TrimSpace(part)); wrong != nil {
				w.add(Error, node.Line, p, value.hide(wrong))
				continue
			}
			*f.list.to = append(*f.list.to, item)
		}
	}
}

func (w *walker) table(path string, n *yaml.Node, f field) {
	table := map[string]string{}
	for _, pair := range w.entries(path, n, f) {
		var value string
		entry := text(&value)
		if f.entry != nil {
			entry = f.entry(&value)
		}
		p := join(path, pair.key)
		w.scalar(p, pair.value, field{key: pair.key, value: entry})
		if !w.bad[p] {
			table[pair.key] = value
		}
	}
	if len(table) > 0 {
		*f.table = table
	}
}

func (w *walker) scalar(path string, n *yaml.Node, f field) {
	value, ok := w.value(path, n, f)
	if !ok {
		return
	}
	secret := f.value.kind == kindSecret
	if wrong := f.value.set(value.text); wrong != nil {
		if !secret { // messages about secrets never show them
			wrong = value.hide(wrong)
		}
		w.add(Error, n.Line, path, wrong)
		return
	}
	if secret && !value.referred && value.text != "" {
		w.add(Warning, n.Line, path, &valueError{message: "the secret is written into the file", hint: "${env:NAME} or ${file:PATH}"})
	}
}

// resolved is the text of a scalar after its references were replaced.
type resolved struct {
	text     string
	written  string // as it is in the file
	referred bool
}

// hide keeps the value of a reference out of messages: it may be a secret that
// was put into the wrong key.
func (r resolved) hide(wrong *valueError) *valueError {
	if !r.referred {
		return wrong.guard(r.text)
	}
	return &valueError{message: "the value of " + r.written + " does not fit here", hint: "a look at what it holds; it is not shown, since it may be a secret"}
}

// value resolves a scalar node that is meant for the field f.
func (w *walker) value(path string, n *yaml.Node, f field) (resolved, bool) {
	n, s := w.follow(n), f.value
	if n.Kind == yaml.ScalarNode && isNull(n) {
		hint := "the key's removal, or a value"
		if f.required {
			hint = exampleOf(f)
		}
		w.fail(n.Line, path, "has no value", hint)
		return resolved{}, false
	}
	if n.Kind != yaml.ScalarNode {
		w.fail(n.Line, path, "must be "+s.what+", not "+describe(n), "")
		return resolved{}, false
	}
	out, referred, wrong := w.resolver.resolve(n.Value)
	if wrong != nil {
		w.add(Error, n.Line, path, wrong)
		return resolved{}, false
	}
	value := resolved{text: out, written: n.Value, referred: referred}
	w.referred[path] = referred
	if !referred && !slices.Contains(s.tags, n.ShortTag()) {
		message, hint := "must be "+s.what+", not "+describe(n), ""
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && s.set(out) == nil {
			hint = "no quotes around it"
		}
		w.fail(n.Line, path, message, hint)
		return resolved{}, false
	}
	if out == "" && (f.required || !s.blank) {
		message := "must not be empty"
		if referred {
			message = "the value of " + n.Value + " is empty"
		}
		w.fail(n.Line, path, message, "")
		return resolved{}, false
	}
	return value, true
}

// describe says what kind of YAML a node is, without its content.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int":
		return "a number"
	case "!!float":
		return "a number with a fraction, or beyond 64 bits"
	case "!!bool":
		return "true or false"
	}
	return "text"
}

// maxKey bounds the keys that a path repeats.
const maxKey = 64

func join(path, key string) string {
	if quoted := strconv.Quote(key); len(key) > maxKey {
		key = fmt.Sprintf("(a key of %d bytes)", len(key))
	} else if quoted != `"`+key+`"` || key == "" {
		key = quoted
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func isNull(n *yaml.Node) bool {
	return n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// follow goes from an alias to what it stands for.
func (w *walker) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// pair is one key of a mapping and its value.
type pair struct {
	key   string
	line  int
	value *yaml.Node
}

// maxMerge bounds merges inside merges, since a mapping may merge itself;
// maxMerges bounds all of a file, since nested lists of aliases multiply.
const (
	maxMerge  = 16
	maxMerges = 1000
)

// pairs returns the keys of a mapping with merges (<<) laid out: a key's own
// value wins over a merged one, an earlier merge over a later.
func (w *walker) pairs(path string, n *yaml.Node, depth int) []pair {
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, w.merged(path, value, depth)...)
		case key.Kind != yaml.ScalarNode:
			w.fail(key.Line, path, "has a key that is not text", "")
		default:
			if first := slices.IndexFunc(own, func(p pair) bool { return p.key == key.Value }); first >= 0 {
				w.fail(key.Line, join(path, key.Value), "is here twice", fmt.Sprintf("keeping only one; the first is in line %d", own[first].line))
				continue
			}
			own = append(own, pair{key: key.Value, line: key.Line, value: value})
		}
	}
	for _, m := range merged {
		if !slices.ContainsFunc(own, func(p pair) bool { return p.key == m.key }) {
			own = append(own, m)
		}
	}
	return own
}

func (w *walker) merged(path string, n *yaml.Node, depth int) []pair {
	n = w.follow(n)
	w.merges++
	switch {
	case w.merges > maxMerges: // noted when the limit was passed
	case depth >= maxMerge || w.merges == maxMerges:
		w.merges = maxMerges
		w.fail(n.Line, path, "merges too much, too deeply, or itself", "")
	case n.Kind == yaml.MappingNode:
		return w.pairs(path, n, depth+1)
	case n.Kind == yaml.SequenceNode:
		var all []pair
		for _, element := range n.Content {
			all = append(all, w.merged(path, element, depth+1)...)
		}
		return all
	default:
		w.fail(n.Line, path, "can merge only a section or a list of sections", "<<: *anchor")
	}
	return nil
}
