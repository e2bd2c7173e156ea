package orgsim

// organizationRow is the one row of Organization, by field; its values are
// texts, booleans and nil.
func (o *Org) organizationRow() map[string]any {
	return map[string]any{"Id": o.id, "Name": "Orgsim", "InstanceName": "SIM1", "IsSandbox": false, "OrganizationType": "Developer Edition"}
}
