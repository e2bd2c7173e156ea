package transform_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sfbridge/bridge/schemas"
)

// reference is the slow and plain second implementation that ours is compared
// with: standard library JSON into a tree, big rationals for numbers, package
// time for times. It returns what an Avro reader should see, or that it has an
// objection.
func reference(s *schemas.Schema, payload []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF || m == nil {
		return nil, fmt.Errorf("not one object")
	}
	var extras map[string]any
	if s.Extras {
		var err error
		if extras, err = refExtras(s.Root, payload, m); err != nil {
			return nil, err
		}
	}
	if h, ok := m[schemas.HeaderField].(map[string]any); ok && s.ChangeEvent {
		refFill(s, m, h)
	}
	v, err := refRecord(s.Root, m, false)
	if err != nil {
		return nil, err
	}
	if h, ok := v[schemas.HeaderField].(map[string]any); ok && s.ChangeEvent && h["changeType"] == "SNAPSHOT" {
		for name, value := range v {
			if name != schemas.HeaderField && refEmpty(value) {
				v[name] = nil
			}
		}
	}
	if s.Extras {
		v[schemas.ExtrasField] = nil
		if len(extras) > 0 {
			v[schemas.ExtrasField] = extras
		}
	}
	return v, nil
}

// refEmpty says whether a field of a row has no value, nor any of its parts.
func refEmpty(v any) bool {
	m, ok := v.(map[string]any)
	for _, part := range m {
		ok = ok && (part == nil || refEmpty(part))
	}
	return ok
}

// refExtras takes what the schema lacks out of a payload and returns it by path.
func refExtras(n *schemas.Node, raw json.RawMessage, m map[string]any) (map[string]any, error) {
	x := refExtra{}
	return x, x.object(n, "", raw, m)
}

// refExtra has the JSON text of unknown keys by path.
type refExtra map[string]any

func (x refExtra) value(n *schemas.Node, path string, raw json.RawMessage, v any) error {
	switch v := v.(type) {
	case map[string]any:
		if rec := refBranch(n, schemas.KindRecord); rec != nil && !isDiff(n, v) {
			return x.object(rec, path, raw, v)
		}
	case []any:
		list := refBranch(n, schemas.KindArray)
		if list == nil {
			break
		}
		var texts []json.RawMessage
		if err := json.Unmarshal(raw, &texts); err != nil {
			return err
		}
		for i, text := range texts {
			if err := x.value(list.Items, fmt.Sprintf("%s[%d]", path, i), text, v[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x refExtra) object(rec *schemas.Node, path string, raw json.RawMessage, m map[string]any) error {
	var texts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &texts); err != nil {
		return err
	}
	for k, text := range texts {
		at := path + "." + k
		if path == "" {
			at = k
		} else if strings.HasPrefix(k, "[") && !strings.HasSuffix(path, "]") {
			at = path + k
		}
		if i := rec.Field(k); i >= 0 && k != schemas.ExtrasField {
			if err := x.value(rec.Fields[i].Type, at, text, m[k]); err != nil {
				return err
			}
			continue
		}
		if _, twice := x[at]; twice {
			return fmt.Errorf("%s twice", at)
		}
		delete(m, k)
		x[at] = string(text)
	}
	return nil
}

// refFill completes the header's lists.
func refFill(s *schemas.Schema, m, h map[string]any) {
	var changed, nulled, diffs []any
	// Fields of the event first, then the parts of compound ones.
	for _, parts := range []bool{false, true} {
		for _, f := range s.Root.Fields {
			v, present := m[f.Name]
			compound, object := v.(map[string]any)
			object = object && refBranch(f.Type, schemas.KindRecord) != nil && !isDiff(f.Type, compound)
			if present && f.Name != schemas.HeaderField && object == parts {
				refList(f.Name, f.Type, v, &changed, &nulled, &diffs)
			}
		}
	}
	if h["changeType"] != "UPDATE" {
		changed, nulled = nil, nil
	}
	for name, list := range map[string][]any{"changedFields": changed, "nulledFields": nulled, "diffFields": diffs} {
		given, ok := h[name].([]any)
		switch {
		case h[name] == nil || ok && len(given) == 0:
			h[name] = append([]any{}, list...)
		case ok && name != "changedFields":
			for _, field := range list {
				if !slices.Contains(given, field) {
					h[name] = append(h[name].([]any), field)
				}
			}
		}
	}
}

func refList(path string, n *schemas.Node, v any, changed, nulled, diffs *[]any) {
	if m, ok := v.(map[string]any); ok {
		if isDiff(n, m) {
			*diffs = append(*diffs, path)
		} else if rec := refBranch(n, schemas.KindRecord); rec != nil {
			for _, f := range rec.Fields {
				if child, ok := m[f.Name]; ok {
					refList(path+"."+f.Name, f.Type, child, changed, nulled, diffs)
				}
			}
			return
		}
	}
	if v == nil {
		*nulled = append(*nulled, path)
	}
	*changed = append(*changed, path)
}

func isDiff(n *schemas.Node, m map[string]any) bool {
	_, ok := m["diff"].(string)
	return ok && len(m) == 1 && refBranch(n, schemas.KindString) != nil
}

func refBranch(n *schemas.Node, k schemas.Kind) *schemas.Node {
	branches := []*schemas.Node{n}
	if n.Kind == schemas.KindUnion {
		branches = n.Branches
	}
	for _, b := range branches {
		if b.Kind == k {
			return b
		}
	}
	return nil
}

func refRecord(n *schemas.Node, m map[string]any, header bool) (map[string]any, error) {
	out := map[string]any{}
	for k := range m {
		if n.Field(k) < 0 {
			return nil, fmt.Errorf("unknown %s", k)
		}
	}
	for _, f := range n.Fields {
		v, present := m[f.Name]
		if v == nil && (f.Required || !present && !f.Type.Nullable()) {
			return nil, fmt.Errorf("%s is missing", f.Name)
		}
		got, err := refValue(f.Type, v, header || f.Name == schemas.HeaderField)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out[f.Name] = got
	}
	return out, nil
}

// refValue gives a value the type that plain(decoded Avro) has.
func refValue(n *schemas.Node, v any, header bool) (any, error) {
	switch v := v.(type) {
	case nil:
		if n.Nullable() {
			return nil, nil
		}
	case bool:
		if refBranch(n, schemas.KindBoolean) != nil {
			return v, nil
		}
	case string:
		return refText(n, v, header)
	case json.Number:
		return refNumber(n, v)
	case []any:
		if b := refBranch(n, schemas.KindArray); b != nil {
			out := []any{}
			for _, item := range v {
				got, err := refValue(b.Items, item, header)
				if err != nil {
					return nil, err
				}
				out = append(out, got)
			}
			return out, nil
		}
	case map[string]any:
		if isDiff(n, v) && !header {
			return v["diff"], nil
		}
		if b := refBranch(n, schemas.KindRecord); b != nil {
			return refRecord(b, v, header)
		}
	}
	return nil, fmt.Errorf("%T does not fit %s", v, n.Kind)
}

func refText(n *schemas.Node, v string, header bool) (any, error) {
	if strings.ContainsRune(v, '\ufffd') {
		// The standard library has put it in place of what is not UTF-8, or it
		// was there: it cannot be told here, and the caller does not ask.
		return v, nil
	}
	if refBranch(n, schemas.KindString) != nil {
		return v, nil
	}
	if b := refBranch(n, schemas.KindEnum); b != nil {
		if slices.Contains(b.Symbols, v) {
			return v, nil
		}
		return nil, fmt.Errorf("symbol %s", v)
	}
	if header {
		return nil, fmt.Errorf("a text for %s", n.Kind)
	}
	if refBranch(n, schemas.KindLong) != nil {
		for _, layout := range []string{time.DateOnly, "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05-0700"} {
			if at, err := time.Parse(layout, v); err == nil {
				return at.UnixMilli(), nil
			}
		}
	}
	if refBranch(n, schemas.KindInt) != nil {
		for _, layout := range []string{"15:04:05Z", "15:04:05"} {
			if at, err := time.Parse(layout, v); err == nil {
				return at.Sub(at.Truncate(24 * time.Hour)).Milliseconds(), nil
			}
		}
	}
	return nil, fmt.Errorf("text %q for %s", v, n.Kind)
}

func refNumber(n *schemas.Node, v json.Number) (any, error) {
	if refBranch(n, schemas.KindDouble) != nil {
		return v.Float64()
	}
	bits := 64
	if refBranch(n, schemas.KindInt) != nil {
		bits = 32
	} else if refBranch(n, schemas.KindLong) == nil {
		return nil, fmt.Errorf("a number for %s", n.Kind)
	}
	if _, exp, ok := strings.Cut(strings.ToLower(v.String()), "e"); ok && len(strings.Trim(exp, "+-0")) > 3 {
		return nil, fmt.Errorf("exponent of %s", v) // a rational would take for ever
	}
	r, ok := new(big.Rat).SetString(v.String())
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return nil, fmt.Errorf("%s is no integer", v)
	}
	i := r.Num().Int64()
	if bits == 32 && i != int64(int32(i)) {
		return nil, fmt.Errorf("%s is no int", v)
	}
	return i, nil
}
