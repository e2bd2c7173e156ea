package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"
)

// holder has a Secret where fmt cannot call its methods.
type holder struct {
	Public Secret
	hidden Secret
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := NewSecret(secretValue)
	h := holder{Public: s, hidden: s}
	if h.hidden.Reveal() != secretValue {
		t.Fatal("Reveal does not return the text")
	}
	outputs := map[string]string{
		"Sprint": fmt.Sprint(s, &s, h, &h, []Secret{s}, map[string]Secret{"k": s}),
		"error":  fmt.Errorf("with %v: %w", s, fmt.Errorf("%s", s)).Error(),
		"slog":   withSlog(s, h),
		"log":    withZerolog(s, h),
	}
	for _, verb := range "vsqxXdTpbcoOUeEfFgGtw" {
		for _, flag := range []string{"", "+", "#", "-20", "020"} {
			format := "%" + flag + string(verb)
			outputs[format] = fmt.Sprintf(format, s) + fmt.Sprintf(format, h) + fmt.Sprintf(format, &h)
		}
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal} {
		for _, v := range []any{s, &s, h, map[string]any{"a": s}} {
			out, err := marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(out, []byte(redacted)) {
				t.Errorf("%s of %T is %q, want it to say %s", name, v, out, redacted)
			}
			outputs[name] += string(out)
		}
	}
	for how, out := range outputs {
		hex := fmt.Sprintf("%x", secretValue)
		if strings.Contains(out, secretValue) || strings.Contains(strings.ToLower(out), hex) {
			t.Errorf("%s shows the secret: %s", how, out)
		}
	}
}

func withZerolog(s Secret, h holder) string {
	var b bytes.Buffer
	log := zerolog.New(&b)
	log.Info().Interface("a", s).Any("b", h).Stringer("c", s).Fields(map[string]any{"d": s}).Msgf("%v %+v", s, h)
	return b.String()
}

func withSlog(s Secret, h holder) string {
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("m", "a", s, "b", h, "c", &s)
	}
	return b.String()
}

func TestEmptySecret(t *testing.T) {
	for _, s := range []Secret{{}, NewSecret("")} {
		if !s.Empty() || s.Reveal() != "" || s.String() != "" {
			t.Errorf("%#v: empty %v, text %q", s, s.Empty(), s.String())
		}
	}
}

// TestConfigIsNotPrinted is the same for a whole configuration.
func TestConfigIsNotPrinted(t *testing.T) {
	c := parse(t, strings.Replace(minimal, "8081", "8081\n  username: u\n  password: ${file:/etc/password}", 1))
	if got := c.Org.Auth.ClientSecret.Reveal() + c.Registry.Password.Reveal(); got != secretValue+secretValue {
		t.Fatalf("secrets are %q", got)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{string(asJSON), fmt.Sprintf("%v %+v %#v", c, *c, c)} {
		if strings.Contains(out, secretValue) {
			t.Errorf("a secret is shown: %s", out)
		}
	}
}
