package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// scalar is one kind of value: how it is named to the reader, which YAML types
// may be written for it, and how text becomes the value in the Config.
type scalar struct {
	kind  string // for the reference: "integer, 1 to 256"
	what  string // for messages: "an integer"
	tags  []string
	set   func(text string) *valueError
	blank bool // "" is a value
}

// anyScalar are the YAML types of plain scalars. Text accepts them all, because
// 66.0 and 00123 keep their digits as they are written.
func anyScalar() []string {
	return []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!binary"}
}

func text(p *string) *scalar {
	return &scalar{kind: "text", what: "text", tags: anyScalar(), blank: true, set: func(s string) *valueError {
		*p = s
		return nil
	}}
}

// checked is text that must also pass check.
func checked(p *string, kind string, check func(string) *valueError) *scalar {
	return &scalar{kind: kind, what: "text", tags: anyScalar(), set: func(s string) *valueError {
		if wrong := check(s); wrong != nil {
			return wrong
		}
		*p = s
		return nil
	}}
}

// kindSecret marks values that are never shown.
const kindSecret = "secret"

func secret(p *Secret) *scalar {
	return &scalar{kind: kindSecret, what: "text", tags: anyScalar(), set: func(s string) *valueError {
		*p = NewSecret(s)
		return nil
	}}
}

// proxyURL is a URL that is a secret only if it holds a password. Messages never
// repeat it.
func proxyURL(p *Secret) *scalar {
	return &scalar{kind: "URL", what: "text", tags: anyScalar(), set: func(s string) *valueError {
		if wrong := checkProxy(s); wrong != nil {
			return wrong
		}
		*p = NewSecret(s)
		return nil
	}}
}

func boolean(p *bool) *scalar {
	return &scalar{kind: "true or false", what: "true or false", tags: []string{"!!bool"}, set: func(s string) *valueError {
		switch strings.ToLower(s) {
		case "true":
			*p = true
		case "false":
			*p = false
		default:
			return &valueError{message: "must be true or false, not " + quote(s)}
		}
		return nil
	}}
}

// integer takes least to most, and -1 too where brokerDefault says so.
func integer[T int | int16 | int32](p *T, least, most int64, brokerDefault bool) *scalar {
	limits := fmt.Sprintf("%d to %d", least, most)
	if brokerDefault {
		limits += ", or -1 for the broker's default"
	}
	return &scalar{kind: "integer, " + limits, what: "an integer", tags: []string{"!!int"}, set: func(s string) *valueError {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			return &valueError{message: "must be an integer, not " + quote(s)}
		case brokerDefault && n == -1:
		case n < least || n > most:
			return &valueError{message: fmt.Sprintf("must be %s, not %d", limits, n)}
		}
		*p = T(n)
		return nil
	}}
}

func duration(p *time.Duration, least, most time.Duration) *scalar {
	kind := fmt.Sprintf("duration, %s to %s", shortDuration(least), shortDuration(most))
	return &scalar{kind: kind, what: `a duration such as "25s"`, tags: []string{"!!str"}, set: func(s string) *valueError {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return &valueError{message: "must be a duration, not " + quote(s), hint: `a number and a unit: "500ms", "25s", "2m"`}
		case d < least || d > most:
			return &valueError{message: fmt.Sprintf("must be %s to %s, not %s", shortDuration(least), shortDuration(most), shortDuration(d))}
		}
		*p = d
		return nil
	}}
}

// shortDuration is d as people write it: 2m, not 2m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func size(p *int, least, most int64) *scalar {
	kind := fmt.Sprintf("size in bytes, %s to %s", shortSize(least), shortSize(most))
	return &scalar{kind: kind, what: `a size such as "8MiB"`, tags: []string{"!!str", "!!int"}, set: func(s string) *valueError {
		n, ok := parseSize(s)
		switch {
		case !ok:
			return &valueError{message: "must be a size, not " + quote(s), hint: `bytes, or a number and a unit: "512KiB", "8MiB", "1GiB", "10MB"`}
		case n < least || n > most:
			return &valueError{message: fmt.Sprintf("must be %s to %s, not %s", shortSize(least), shortSize(most), s)}
		}
		*p = int(n)
		return nil
	}}
}

// sizeUnit returns the bytes of a unit, 0 for one that is not known.
func sizeUnit(unit string) int64 {
	switch unit {
	case "", "B":
		return 1
	case "kB", "KB":
		return 1000
	case "MB":
		return 1000 * 1000
	case "GB":
		return 1000 * 1000 * 1000
	case "KiB":
		return 1 << 10
	case "MiB":
		return 1 << 20
	case "GiB":
		return 1 << 30
	}
	return 0
}

func parseSize(s string) (bytes int64, ok bool) {
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	unit := sizeUnit(s[len(digits):])
	n, err := strconv.ParseInt(strings.TrimSuffix(digits, " "), 10, 64)
	if err != nil || unit == 0 || n < 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func shortSize(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "GiB"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "KiB"
	}
	return strconv.FormatInt(n, 10)
}

// choice is one of a closed set of words.
func choice[T ~string](p *T, allowed ...T) *scalar {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	list := orList(words)
	return &scalar{kind: list, what: "one of " + list, tags: []string{"!!str"}, set: func(s string) *valueError {
		for _, a := range allowed {
			if string(a) == s {
				*p = a
				return nil
			}
		}
		wrong := &valueError{message: "must be " + list + ", not " + quote(s)}
		if near, ok := nearest(strings.ReplaceAll(strings.ToLower(s), "-", "_"), words); ok {
			wrong.hint = near
		}
		return wrong
	}}
}

// orList is "a", "a or b", "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// channelName sets the channel and what follows from its name.
func channelName(s *Stream) *scalar {
	return checked(&s.Channel, "channel", func(name string) *valueError {
		kind, multi, wrong := classify(name)
		if wrong == nil {
			s.Kind, s.Multi = kind, multi
		}
		return wrong
	})
}

// startPoint takes latest, earliest or a replay id. Salesforce's own -1 and -2
// are refused by name: the words say what they mean.
func startPoint(p *Start) *scalar {
	const allowed = "latest, earliest or a replay id"
	return &scalar{kind: allowed, what: allowed, tags: []string{"!!str", "!!int"}, set: func(s string) *valueError {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case s == "latest":
			*p = Start{At: StartLatest}
		case s == "earliest":
			*p = Start{At: StartEarliest}
		case err == nil && n == -1:
			return &valueError{message: "must be " + allowed + ", not -1", hint: "latest"}
		case err == nil && n == -2:
			return &valueError{message: "must be " + allowed + ", not -2", hint: "earliest"}
		case err != nil || n < 0:
			wrong := &valueError{message: "must be " + allowed + ", not " + quote(s)}
			if near, ok := nearest(strings.ToLower(s), []string{"latest", "earliest"}); ok {
				wrong.hint = near
			}
			return wrong
		default:
			*p = Start{At: StartAfter, ReplayID: n}
		}
		return nil
	}}
}
