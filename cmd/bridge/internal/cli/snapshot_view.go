package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

// taskProgress is a moment of tasks that are followed.
type taskProgress struct {
	rows, total int
	before      int  // rows that were written before they were followed
	counted     bool // total is of all of them
	waits       int  // tasks that have not ended
	took        time.Duration
}

// rate is in rows a second, since they are followed.
func (p taskProgress) rate() float64 {
	if p.took <= 0 {
		return 0
	}
	return float64(p.rows-p.before) / p.took.Seconds()
}

// left is how long it will take; less than 0 is not known.
func (p taskProgress) left() time.Duration {
	if rate := p.rate(); p.counted && rate > 0 {
		return time.Duration(float64(max(0, p.total-p.rows)) / rate * float64(time.Second)).Round(time.Second)
	}
	return -1
}

// taskView tells of tasks that were asked for.
type taskView interface {
	asked(tasks []*watchedTask) error
	notice(n snapshot.Notice) error
	note(text string) error
	progress(p taskProgress) error
	end(tasks []*watchedTask) error
}

func newTaskView(asJSON bool, stdout, stderr io.Writer) taskView {
	if asJSON {
		return jsonTasks{stdout}
	}
	return &textTasks{w: stdout, bar: stderr, live: isTerminal(stderr)}
}

// jsonTasks prints one object a line; notices as they are in Kafka.
type jsonTasks struct{ w io.Writer }

func (v jsonTasks) asked(tasks []*watchedTask) error {
	for _, t := range tasks {
		if err := tagged(v.w, "asked", t); err != nil {
			return err
		}
	}
	return nil
}

func (v jsonTasks) notice(n snapshot.Notice) error { return writeJSON(v.w, n) }

func (v jsonTasks) note(text string) error {
	return tagged(v.w, "note", struct {
		Text string `json:"text"`
	}{text})
}

func (v jsonTasks) progress(taskProgress) error { return nil } // notices say it
func (v jsonTasks) end([]*watchedTask) error    { return nil }

// textTasks prints for people: what was asked for and its end as text, between them
// one line that is written over.
type textTasks struct {
	w, bar io.Writer
	live   bool
}

func (v *textTasks) asked(tasks []*watchedTask) error {
	for _, t := range tasks {
		if _, err := fmt.Fprintf(v.w, "asked for %s of %s%s\n", t.Task, t.Channel, ofObject(t.Object)); err != nil {
			return err
		}
	}
	return nil
}

func ofObject(object string) string {
	if object == "" {
		return ""
	}
	return ": " + object
}

func (v *textTasks) notice(snapshot.Notice) error { return nil }

func (v *textTasks) note(text string) error {
	if err := v.clear(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(v.bar, text)
	return err
}

func (v *textTasks) clear() error {
	if !v.live {
		return nil
	}
	_, err := fmt.Fprint(v.bar, "\r\x1b[K")
	return err
}

func (v *textTasks) progress(p taskProgress) error {
	if !v.live || p.waits == 0 {
		return nil
	}
	of, left, full := "", "", 0
	if p.counted && p.total > 0 {
		of = fmt.Sprintf(" of %d", p.total)
		full = min(barWidth, p.rows*barWidth/p.total)
	}
	if d := p.left(); d >= 0 {
		left = ", " + d.String() + " left"
	}
	_, err := fmt.Fprintf(v.bar, "\r\x1b[K[%s%s] %d%s rows, %.0f/s%s",
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), p.rows, of, p.rate(), left)
	return err
}

func (v *textTasks) end(tasks []*watchedTask) error {
	if err := v.clear(); err != nil {
		return err
	}
	for _, t := range tasks {
		n := t.last
		if n.Type == snapshot.Refused {
			continue // that is an error, and told as one
		}
		if _, err := fmt.Fprintf(v.w, "%s of %s %s: %d rows, %d of them deletions, with %d API calls\n",
			t.Task, t.Channel, n.Type, n.Rows, n.Gone, n.Calls); err != nil {
			return err
		}
	}
	return nil
}
