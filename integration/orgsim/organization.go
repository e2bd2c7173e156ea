package orgsim

// organizationRow is the one row of Organization, by field; its values are
// texts, booleans and nil.
func (o *Org) organizationRow() map[string]any {
	return map[string]any{"Id": o.ID(), "Name": "Orgsim", "InstanceName": o.who.Load().instance, "IsSandbox": o.who.Load().sandbox, "OrganizationType": "Developer Edition"}
}
