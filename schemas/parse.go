package schemas

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hamba/avro/v2"
)

// maxDepth bounds how deep types may nest. Salesforce's nest four levels.
const maxDepth = 32

// Parse compiles the COMPACT text of an event schema. id is Salesforce's id of
// it and only recorded. Errors are [*SchemaError].
func Parse(id string, text []byte) (*Schema, error) {
	s, err := parse(text)
	if err != nil {
		err.ID = id
		return nil, err
	}
	s.ID = id
	return s, nil
}

// ParseCurrent is [Parse] for a text whose id is in it, as the attribute uuid:
// what Salesforce answers when it is asked by the event's name. Without one the
// schema has no id.
func ParseCurrent(text []byte) (*Schema, error) {
	var head struct{ UUID string }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, &SchemaError{Reason: fmt.Sprintf("not JSON: %s", snippet(text)), Err: err}
	}
	return Parse(head.UUID, text)
}

// ParseRegistered compiles a text as a registry has it, and adds nothing to it:
// for comparing, not for encoding. Errors are [*SchemaError].
func ParseRegistered(text []byte) (*Schema, error) {
	root, err := compile(text, true)
	if err != nil {
		return nil, err
	}
	return finish(root, text), nil
}

func parse(text []byte) (*Schema, *SchemaError) {
	root, err := compile(text, false)
	if err != nil {
		return nil, err
	}
	root.attrs = slices.DeleteFunc(root.attrs, func(m member) bool { return m.key == "uuid" })

	header := root.Field(HeaderField)
	if err := enrich(root, header); err != nil {
		return nil, err
	}
	out := appendType(nil, root, "", make(map[string]bool))
	// A second opinion from an independent parser, on the very text that readers
	// get. Its default name cache is one for the whole process: names from other
	// schemas would make a broken text pass.
	if _, perr := avro.ParseWithCache(string(out), "", &avro.SchemaCache{}); perr != nil {
		return nil, &SchemaError{Path: root.Name, Reason: "not a legal Avro schema", Err: perr}
	}
	return finish(root, out), nil
}

// compile makes a type of an event's text. asIs keeps the order of unions, where
// null comes first otherwise.
func compile(text []byte, asIs bool) (*Node, *SchemaError) {
	if !json.Valid(text) {
		return nil, &SchemaError{Reason: fmt.Sprintf("not JSON: %s", snippet(text))}
	}
	p := &parser{named: make(map[string]*Node), asIs: asIs}
	root, err := p.parseType(scope{}, text)
	if err != nil {
		return nil, err
	}
	if root.Kind != KindRecord {
		return nil, &SchemaError{Reason: fmt.Sprintf("an event is a record, this is %s", article(root.Kind))}
	}
	return root, nil
}

// finish is the schema of a compiled event and its text.
func finish(root *Node, text []byte) *Schema {
	sum := sha256.Sum256(text)
	return &Schema{
		Name:        root.Name[strings.LastIndexByte(root.Name, '.')+1:],
		FullName:    root.Name,
		JSON:        text,
		Fingerprint: hex.EncodeToString(sum[:]),
		ChangeEvent: root.Field(HeaderField) >= 0,
		Root:        root,
	}
}

type parser struct {
	named map[string]*Node // by full name; Kind is KindInvalid while being defined
	asIs  bool             // unions keep their order
}

// scope is where in the schema the parser is.
type scope struct {
	path      string
	namespace string
	depth     int
}

func (s scope) errorf(format string, args ...any) *SchemaError {
	return &SchemaError{Path: s.path, Reason: fmt.Sprintf(format, args...)}
}

func (s scope) in(name string) scope {
	if s.path != "" {
		name = s.path + "." + name
	}
	s.path = name
	return s
}

func (p *parser) parseType(s scope, raw json.RawMessage) (*Node, *SchemaError) {
	if s.depth++; s.depth > maxDepth {
		return nil, s.errorf("types nest deeper than %d", maxDepth)
	}
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '"':
		name, err := text(raw)
		if err != nil {
			return nil, s.errorf("%v", err)
		}
		return p.reference(s, name)
	case '[':
		return p.parseUnion(s, raw)
	case '{':
		return p.parseObject(s, raw)
	}
	return nil, s.errorf("a type is a name, an object or an array, not %s", snippet(raw))
}

// reference resolves a name used as a type.
func (p *parser) reference(s scope, name string) (*Node, *SchemaError) {
	if k := primitive(name); k != KindInvalid {
		return &Node{Kind: k}, nil
	}
	full := name
	if !strings.Contains(name, ".") && s.namespace != "" {
		full = s.namespace + "." + name
	}
	n, ok := p.named[full]
	switch {
	case name == "expanded-record":
		return nil, s.errorf("this is the EXPANDED form of the schema, which is not Avro; ask for payloadFormat=COMPACT")
	case !ok:
		return nil, s.errorf("unknown type %q", name)
	case n.Kind == KindInvalid:
		return nil, s.errorf("type %q contains itself", name)
	}
	return n, nil
}

func primitive(name string) Kind {
	for k := KindNull; k <= KindString; k++ {
		if k.String() == name {
			return k
		}
	}
	return KindInvalid
}

func (p *parser) parseUnion(s scope, raw json.RawMessage) (*Node, *SchemaError) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, s.errorf("union: %v", err)
	}
	if len(parts) == 0 {
		return nil, s.errorf("a union without branches")
	}
	n := &Node{Kind: KindUnion}
	for _, part := range parts {
		b, err := p.parseType(s, part)
		if err != nil {
			return nil, err
		}
		if b.Kind == KindUnion {
			return nil, s.errorf("a union directly inside a union")
		}
		for _, other := range n.Branches {
			if other.Kind == b.Kind && other.Name == b.Name {
				return nil, s.errorf("the union has two branches of type %s", label(b))
			}
		}
		if b.Kind == KindNull && !p.asIs {
			n.Branches = slices.Insert(n.Branches, 0, b)
		} else {
			n.Branches = append(n.Branches, b)
		}
	}
	return n, nil
}

func (p *parser) parseObject(s scope, raw json.RawMessage) (*Node, *SchemaError) {
	attrs, err := members(raw)
	if err != nil {
		return nil, s.errorf("%v", err)
	}
	typ, ok := take(&attrs, "type")
	if !ok {
		return nil, s.errorf("an object without type")
	}
	if typ[0] != '"' {
		return p.parseType(s, typ)
	}
	name, err := text(typ)
	if err != nil {
		return nil, s.errorf("%v", err)
	}
	n := &Node{attrs: attrs}
	switch name {
	case "record":
		return p.parseRecord(s, n)
	case "enum":
		return p.parseEnum(s, n)
	case "fixed":
		return p.parseFixed(s, n)
	case "array":
		return p.parseItems(s, n, KindArray, "items")
	case "map":
		return p.parseItems(s, n, KindMap, "values")
	}
	if n.Kind = primitive(name); n.Kind == KindInvalid {
		return p.reference(s, name)
	}
	if raw, ok := take(&n.attrs, "logicalType"); ok {
		// Of a type that cannot carry it, it is one more attribute (Avro 1.12,
		// "Logical Types"), and stays in the text like one.
		n.logical, err = text(raw)
		if err != nil {
			return nil, s.errorf("logicalType: %v", err)
		}
		n.Temporal = temporalOf(n.Kind, n.logical)
	}
	return n, nil
}

func temporalOf(k Kind, logical string) Temporal {
	switch {
	case k == KindLong && logical == "timestamp-millis":
		return DateTime
	case k == KindInt && logical == "date":
		return Date
	case k == KindInt && logical == "time-millis":
		return Time
	}
	return NotTemporal
}

func (p *parser) parseItems(s scope, n *Node, kind Kind, attr string) (*Node, *SchemaError) {
	raw, ok := take(&n.attrs, attr)
	if !ok {
		return nil, s.errorf("%s without %s", article(kind), attr)
	}
	items, err := p.parseType(s.in("[]"), raw)
	if err != nil {
		return nil, err
	}
	n.Kind, n.Items = kind, items
	return n, nil
}

// define takes name and namespace off the attributes and reserves the full
// name. The scope returned is the one for what the type contains.
func (p *parser) define(s scope, n *Node) (scope, *SchemaError) {
	name, err := takeText(&n.attrs, "name")
	if err != nil {
		return s, s.errorf("%v", err)
	}
	namespace, err := takeText(&n.attrs, "namespace")
	if err != nil {
		return s, s.errorf("%v", err)
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		namespace, name = name[:i], name[i+1:]
	} else if namespace == "" {
		namespace = s.namespace
	}
	if s.path == "" {
		s.path = name
	}
	if !legalName(name) {
		return s, s.errorf("%q is not a legal Avro name (a letter or underscore, then letters, digits, underscores)", name)
	}
	n.Name = name
	if namespace != "" {
		for part := range strings.SplitSeq(namespace, ".") {
			if !legalName(part) {
				return s, s.errorf("%q is not a legal Avro namespace", namespace)
			}
		}
		n.Name = namespace + "." + name
	} else if s.namespace != "" {
		return s, s.errorf("type %q has no namespace inside %s: it could not be referred to", name, s.namespace)
	}
	s.namespace = namespace
	if _, twice := p.named[n.Name]; twice || primitive(n.Name) != KindInvalid {
		return s, s.errorf("type %q is defined twice", n.Name)
	}
	p.named[n.Name] = n
	return s, nil
}

func (p *parser) parseRecord(s scope, n *Node) (*Node, *SchemaError) {
	s, serr := p.define(s, n)
	if serr != nil {
		return nil, serr
	}
	raw, ok := take(&n.attrs, "fields")
	var parts []json.RawMessage
	if !ok || json.Unmarshal(raw, &parts) != nil {
		return nil, s.errorf("a record needs a list of fields")
	}
	for i, part := range parts {
		f, err := p.parseField(s, i, part)
		if err != nil {
			return nil, err
		}
		if n.Field(f.Name) >= 0 {
			return nil, s.errorf("two fields are called %q", f.Name)
		}
		n.Fields = append(n.Fields, f)
	}
	n.Kind = KindRecord
	return n, nil
}

func (p *parser) parseField(s scope, i int, raw json.RawMessage) (Field, *SchemaError) {
	var f Field
	at := s.in(fmt.Sprintf("field %d", i))
	attrs, err := members(raw)
	if err != nil {
		return f, at.errorf("%v", err)
	}
	if f.Name, err = takeText(&attrs, "name"); err != nil {
		return f, at.errorf("%v", err)
	}
	if !legalName(f.Name) {
		return f, at.errorf("%q is not a legal Avro name (a letter or underscore, then letters, digits, underscores)", f.Name)
	}
	at = s.in(f.Name)
	if f.Doc, err = takeText(&attrs, "doc"); err != nil {
		return f, at.errorf("%v", err)
	}
	typ, ok := take(&attrs, "type")
	if !ok {
		return f, at.errorf("a field without type")
	}
	f.Default, _ = take(&attrs, "default")
	f.attrs = attrs
	var serr *SchemaError
	f.Type, serr = p.parseType(at, typ)
	return f, serr
}

func (p *parser) parseEnum(s scope, n *Node) (*Node, *SchemaError) {
	s, serr := p.define(s, n)
	if serr != nil {
		return nil, serr
	}
	raw, ok := take(&n.attrs, "symbols")
	if !ok || json.Unmarshal(raw, &n.Symbols) != nil || len(n.Symbols) == 0 {
		return nil, s.errorf("an enum needs a list of symbols")
	}
	for i, symbol := range n.Symbols {
		if !legalName(symbol) {
			return nil, s.errorf("%q is not a legal Avro enum symbol", symbol)
		}
		if slices.Contains(n.Symbols[:i], symbol) {
			return nil, s.errorf("the enum symbol %q comes twice", symbol)
		}
	}
	n.Kind = KindEnum
	return n, nil
}

func (p *parser) parseFixed(s scope, n *Node) (*Node, *SchemaError) {
	s, serr := p.define(s, n)
	if serr != nil {
		return nil, serr
	}
	raw, ok := take(&n.attrs, "size")
	if !ok || json.Unmarshal(raw, &n.Size) != nil || n.Size <= 0 {
		return nil, s.errorf("a fixed needs a size above 0")
	}
	n.Kind = KindFixed
	return n, nil
}
