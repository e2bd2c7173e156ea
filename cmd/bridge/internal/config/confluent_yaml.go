package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yaml writes what was set, in the order of the reference.
func (t *translator) yaml() string {
	root := t.sectionNode("", schema(new(Config)))
	root.HeadComment = t.head()
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		panic(err) // a tree of scalars, made here
	}
	return b.String()
}

// head tells what has to be done before the translation is used.
func (t *translator) head() string {
	// Quoted, no name can end the comment that it is in.
	text := "# Translated from a connector of Confluent's: " + strconv.QuoteToASCII(t.out.Connector) + ", " + t.kind.class + ".\n"
	if len(t.placeholders) > 0 {
		text += "# Environment variables that have to be set:\n"
	}
	for _, name := range slices.Sorted(maps.Keys(t.placeholders)) {
		text += fmt.Sprintf("#   %s  %s\n", name, t.placeholders[name].Note)
	}
	return text
}

// sectionNode is a section with those of its keys that were set.
func (t *translator) sectionNode(path string, fields []field) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	add := func(key string, value *yaml.Node) {
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
	}
	for _, f := range fields {
		at := join(path, f.key)
		switch {
		case f.section != nil:
			if inner := t.sectionNode(at, f.section); len(inner.Content) > 0 {
				add(f.key, inner)
			}
		case f.items != nil:
			if inner := t.sectionNode(index(at, 0), f.items(1)[0]); len(inner.Content) > 0 {
				add(f.key, &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{inner}})
			}
		case f.named != nil:
			names := t.names(at)
			inner := &yaml.Node{Kind: yaml.MappingNode}
			for i, one := range f.named(names) {
				inner.Content = append(inner.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: names[i]}, t.sectionNode(join(at, names[i]), one))
			}
			if len(names) > 0 {
				add(f.key, inner)
			}
		case f.table != nil:
			inner := &yaml.Node{Kind: yaml.MappingNode}
			for _, name := range t.names(at) {
				inner.Content = append(inner.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, valueNode(t.set[join(at, name)]))
			}
			if len(inner.Content) > 0 {
				add(f.key, inner)
			}
		case t.set[at] == "":
		case f.list != nil:
			inner := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for one := range strings.SplitSeq(t.set[at], ",") {
				inner.Content = append(inner.Content, valueNode(one))
			}
			add(f.key, inner)
		default:
			add(f.key, valueNode(t.set[at]))
		}
	}
	return node
}

// names are the names below a path: of entities whole, of a table with their dots.
func (t *translator) names(path string) (out []string) {
	for _, key := range slices.Sorted(maps.Keys(t.set)) {
		name, below := strings.CutPrefix(key, path+".")
		if !below {
			continue
		}
		if strings.HasSuffix(path, ".entities") {
			name, _, _ = strings.Cut(name, ".")
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// valueNode quotes what YAML would take for something else than text, but for numbers
// and truth values as the bridge has them.
func valueNode(value string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	switch probe := (yaml.Node{Kind: yaml.ScalarNode, Value: value}); probe.ShortTag() {
	case "!!str":
		node.Tag = "!!str"
	case "!!int", "!!bool":
	default:
		node.Tag, node.Style = "!!str", yaml.DoubleQuotedStyle
	}
	return node
}
