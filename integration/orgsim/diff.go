package orgsim

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// diffThreshold is the length in characters from which an updated text may
// travel as a diff (Change Data Capture guide, large text fields).
const diffThreshold = 1000

// UpdateDiff sets a long text field and sends the change as {"diff": …},
// whatever its length.
func (o *Org) UpdateDiff(object, id, fieldName, text string) error {
	return o.Transact(TxOptions{}, func(tx *Tx) error {
		ob, r, err := tx.live(object, id)
		if err != nil {
			return err
		}
		c, ok := ob.columns[fieldName]
		if !ok || c.part >= 0 || ob.fields[c.field].Type != LongText {
			return &RequestError{Status: 400, Code: "INVALID_FIELD", Fields: []string{fieldName},
				Message: fmt.Sprintf("No long text column '%s' on sobject of type %s", fieldName, ob.def.Name)}
		}
		old, _ := r.val(c.field).(string)
		s := tx.stage(ob, r)
		s.diffs = map[int]string{c.field: unifiedDiff(old, text)}
		if err := ob.set(r, Fields{fieldName: text}); err != nil {
			return err
		}
		return tx.touch(ob, r)
	})
}

// diff is the text to send in place of the new value, or "".
func (s *staged) diff(i int, f *field, old, now any, o *Org) string {
	if d, ok := s.diffs[i]; ok {
		return d
	}
	was, ok := old.(string)
	text, ok2 := now.(string)
	if !o.cfg.TextDiffs || f.Type != LongText || !ok || !ok2 || len(text) < diffThreshold {
		return ""
	}
	if d := unifiedDiff(was, text); len(d) < len(text)/2 {
		return d
	}
	return ""
}

// unifiedDiff is one hunk around what differs, headed by the SHA-256 of the
// whole new text.
func unifiedDiff(old, now string) string {
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	pre := 0
	for pre < len(a) && pre < len(b) && a[pre] == b[pre] {
		pre++
	}
	post := 0
	for post < len(a)-pre && post < len(b)-pre && a[len(a)-1-post] == b[len(b)-1-post] {
		post++
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- \n+++ %x\n\n@@ -%d,%d +%d,%d @@\n", sha256.Sum256([]byte(now)), pre+1, len(a)-pre-post, pre+1, len(b)-pre-post)
	for _, line := range a[pre : len(a)-post] {
		out.WriteString("-" + line + "\n")
	}
	for _, line := range b[pre : len(b)-post] {
		out.WriteString("+" + line + "\n")
	}
	return out.String()
}
