package config

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestReference keeps the committed reference in step with the code.
func TestReference(t *testing.T) {
	golden(t, "testdata/reference.golden", Reference())
}

// TestReferenceIsValid parses the reference as a configuration, which also
// shows that the defaults it tells are those that are used.
func TestReferenceIsValid(t *testing.T) {
	got := parse(t, Reference())
	want := parse(t, MinimalExample())
	want.Org.LoginURL, want.Streams = "https://login.salesforce.com", want.Streams[:1]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the reference's values are not the defaults\ngot\n%+v\nwant\n%+v", got, want)
	}
}

func TestMinimalExampleIsMinimal(t *testing.T) {
	// The second stream is there to be seen; one would do.
	lines := strings.SplitAfter(strings.Replace(MinimalExample(), "  - channel: /event/Order__e\n", "", 1), "\n")
	for i, line := range lines {
		if !strings.Contains(line, ": ") || strings.Contains(line, "login_url") {
			continue // sections, and a default that is seldom right
		}
		without := strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")
		if _, problems := Parse([]byte(without), "b.yaml", testEnv()); !HasErrors(problems) {
			t.Errorf("not needed: %s", line)
		}
	}
}

// TestSchema checks what the table promises of each field.
func TestSchema(t *testing.T) {
	n := 0
	visit("", schema(new(Config)), func(path string, f field) {
		n++
		kinds := 0
		for _, set := range []bool{f.value != nil, f.list != nil, f.table != nil, f.section != nil, f.items != nil, f.named != nil} {
			if set {
				kinds++
			}
		}
		switch {
		case kinds != 1:
			t.Errorf("%s has %d kinds", path, kinds)
		case f.meaning == "" || !strings.HasSuffix(f.meaning, "."):
			t.Errorf("%s: meaning %q is not a sentence", path, f.meaning)
		case f.section != nil || f.items != nil && !f.optional:
		case f.required && f.def != "":
			t.Errorf("%s is required and has a default", path)
		case f.def == "" && f.example == "":
			t.Errorf("%s has neither default nor example", path)
		case f.def != "" && f.value.set(f.def) != nil:
			t.Errorf("%s: its default %q is wrong: %s", path, f.def, f.value.set(f.def).message)
		case f.example != "" && f.value != nil:
			checkExample(t, path, f)
		}
	})
	if n < 70 {
		t.Errorf("%d fields visited: the visit is broken", n)
	}
}

// checkExample checks that what the reference shows as a comment would be taken.
func checkExample(t *testing.T, path string, f field) {
	t.Helper()
	if strings.Contains(f.example, "${") {
		return
	}
	var text string
	if err := yaml.Unmarshal([]byte(f.example), &text); err != nil {
		t.Errorf("%s: %v", path, err)
	} else if wrong := f.value.set(text); wrong != nil {
		t.Errorf("%s: its example %q is wrong: %s", path, f.example, wrong.message)
	}
}

func visit(path string, fields []field, do func(path string, f field)) {
	for _, f := range fields {
		p := join(path, f.key)
		do(p, f)
		visit(p, f.section, do)
		if f.items != nil {
			visit(p+"[]", f.items(1)[0], do)
		}
		if f.named != nil {
			visit(p+".NAME", f.named([]string{"NAME"})[0], do)
		}
	}
}

// TestReferenceLines checks that the reference is fit to be read.
func TestReferenceLines(t *testing.T) {
	for i, line := range strings.Split(Reference(), "\n") {
		if len(line) > 100 || strings.TrimRight(line, " ") != line || strings.Contains(line, "\t") {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
}
