package audit

import (
	"io"

	"github.com/sfbridge/bridge/salesforce"
)

// bounded ends rows early.
type bounded struct {
	salesforce.Rows
	left int
}

// Next implements [salesforce.Rows].
func (b *bounded) Next() (salesforce.Row, error) {
	if b.left == 0 {
		return salesforce.Row{}, io.EOF
	}
	b.left--
	return b.Rows.Next()
}
