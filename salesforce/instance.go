package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
)

// InstanceName returns Salesforce's name for where the org lives (NA231, USA412S):
// the field of Organization, which every user of the API may read. Another name
// than before means that the org was migrated, and that its event bus is a new one.
// A switch between two sites of one instance does not change it.
func (c *Client) InstanceName(ctx context.Context) (string, error) {
	var got instanceReply
	err := c.Get(ctx, "/query?q="+url.QueryEscape("SELECT InstanceName FROM Organization"), &got)
	return got.name, err
}

// instanceReply is the one row of Organization.
type instanceReply struct{ name string }

func (r *instanceReply) UnmarshalJSON(data []byte) error {
	var body struct {
		Records []struct{ InstanceName string } `json:"records"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	if len(body.Records) != 1 || body.Records[0].InstanceName == "" {
		return errors.New("there is no InstanceName in it")
	}
	r.name = body.Records[0].InstanceName
	return nil
}
