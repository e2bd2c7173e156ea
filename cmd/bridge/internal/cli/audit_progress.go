package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/audit"
)

// auditProgress shows on a terminal what an audit does, in one line.
type auditProgress struct {
	w     io.Writer // nil: nobody looks
	shown time.Time
	width int
}

// lineEvery is how often the line changes at most.
const lineEvery = 200 * time.Millisecond

func newAuditProgress(w io.Writer) *auditProgress {
	if !isTerminal(w) {
		w = nil
	}
	return &auditProgress{w: w}
}

func (p *auditProgress) step(s audit.Step) {
	if p.w == nil || time.Since(p.shown) < lineEvery {
		return
	}
	p.shown = time.Now()
	text := fmt.Sprintf("%s: %d", s.Doing, s.Done)
	if s.Of > 0 {
		text += fmt.Sprintf(" of %d", s.Of)
	}
	p.line(text)
}

// line overwrites the last one.
func (p *auditProgress) line(text string) {
	_, _ = fmt.Fprintf(p.w, "\r%-*s", p.width, text)
	p.width = len(text)
}

// end takes the line away.
func (p *auditProgress) end() {
	if p.w != nil && p.width > 0 {
		p.line("")
		_, _ = fmt.Fprint(p.w, "\r")
	}
}
