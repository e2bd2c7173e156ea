package salesforce

import (
	"context"
	"encoding/json"
)

// Limit is one of the org's limits: how much there is in its period, and how much
// of it is left. Remaining may be negative where Salesforce lets an org overdraw.
type Limit struct{ Max, Remaining int64 }

// Limits returns the org's limits by Salesforce's names, such as DailyApiRequests
// and DailyDeliveredPlatformEvents (REST API Developer Guide, "Limits"). The user
// needs View Setup and Configuration. The numbers are up to five minutes old.
//
// What apps have of a limit stands beside its numbers and is not read. An entry
// without both numbers is left out.
func (c *Client) Limits(ctx context.Context) (map[string]Limit, error) {
	var entries map[string]json.RawMessage
	if err := c.Get(ctx, "/limits", &entries); err != nil {
		return nil, err
	}
	limits := make(map[string]Limit, len(entries))
	for name, entry := range entries {
		if limit, ok := readLimit(entry); ok {
			limits[name] = limit
		}
	}
	return limits, nil
}

// readLimit reads the members by their exact names: those beside them are named
// after apps, and decoding into a struct would take an app's "max" for the limit.
func readLimit(entry json.RawMessage) (Limit, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(entry, &members) != nil {
		return Limit{}, false
	}
	most, okMost := readInteger(members["Max"])
	left, okLeft := readInteger(members["Remaining"])
	return Limit{Max: most, Remaining: left}, okMost && okLeft
}

func readInteger(text json.RawMessage) (int64, bool) {
	var n *int64
	if json.Unmarshal(text, &n) != nil || n == nil {
		return 0, false
	}
	return *n, true
}
