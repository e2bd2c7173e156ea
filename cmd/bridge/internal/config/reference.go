package config

import (
	"strconv"
	"strings"
)

// referenceHead explains the notation of the reference.
const referenceHead = `# Every key of the configuration, with its meaning, type, unit and default.
# This file is itself a valid configuration. Keys that are written as a comment
# (#key: value) are optional, and exclude or need others.
#
# Durations are a number and a unit (500ms, 25s, 2m), sizes are bytes or a
# number and a unit (512KiB, 8MiB, 10MB). Any value may hold references, which
# are replaced after the file was parsed:
#
#   ${env:NAME}   an environment variable, which must be set
#   ${file:PATH}  a file's content without its last line break; relative paths
#                 begin at the folder of this file
#   $${           the two characters ${
#
# Unknown keys are errors, except keys at the top that begin with x-: they are
# not read, and are a place for YAML anchors.
`

// referenceWidth is the column at which comments are broken.
const referenceWidth = 80

// Reference returns a YAML document that shows every key with its meaning,
// type, default and an example. Parse accepts it when the environment variables
// and files that it refers to exist.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	writeFields(&b, "", schema(new(Config)))
	return b.String()
}

func writeFields(b *strings.Builder, indent string, fields []field) {
	for i, f := range fields {
		if indent == "" || i > 0 {
			b.WriteString("\n")
		}
		writeComment(b, indent, f.meaning)
		switch {
		case f.section != nil:
			b.WriteString(indent + f.key + ":\n")
			writeFields(b, indent+"  ", f.section)
		case f.items != nil && f.optional:
			writeUnset(b, indent, f.key+":\n  -", f.items(1)[0])
		case f.items != nil:
			b.WriteString(indent + f.key + ":\n" + indent + "  -\n")
			writeFields(b, indent+"    ", f.items(1)[0])
		case f.named != nil:
			writeUnset(b, indent, f.key+":\n  "+f.example+":", f.named([]string{f.example})[0])
		default:
			writeComment(b, indent, notation(f))
			comment := ""
			if f.optional {
				comment = "#"
			}
			b.WriteString(indent + comment + f.key + ": " + shown(f) + "\n")
		}
	}
}

// writeUnset shows a list of sections, or sections by name, that are optional: all
// is a comment.
func writeUnset(b *strings.Builder, indent, head string, fields []field) {
	var inner strings.Builder
	writeFields(&inner, "    ", fields)
	for line := range strings.Lines(head + "\n" + inner.String()) {
		b.WriteString(indent + "#" + line)
	}
}

// notation is a key's type and default in one line.
func notation(f field) string {
	var kind string
	switch {
	case f.list != nil:
		kind = "list of " + f.list.item(new(string)).kind
	case f.table != nil:
		kind = "keys and their values"
	default:
		kind = f.value.kind
	}
	switch {
	case f.required:
		return "[" + kind + "; required]"
	case f.def != "":
		return "[" + kind + "; default " + f.def + "]"
	case f.derived != "" && strings.HasPrefix(f.derived, "required"):
		return "[" + kind + "; " + f.derived + "]"
	case f.derived != "":
		return "[" + kind + "; default: " + f.derived + "]"
	}
	return "[" + kind + "; optional]"
}

// shown is a key's default, or else its example, as YAML.
func shown(f field) string {
	if f.def == "" {
		return f.example
	}
	if strings.Contains(f.def, "{") || strings.HasPrefix(f.def, ":") {
		return strconv.Quote(f.def)
	}
	return f.def
}

func writeComment(b *strings.Builder, indent, text string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > referenceWidth && line != indent+"#" {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// MinimalExample returns the least that a bridge needs: everything else has a
// default. It refers to two environment variables and a file.
func MinimalExample() string {
	return `name: acme
org:
  login_url: https://acme.my.salesforce.com
  auth:
    type: jwt_bearer
    client_id: ${env:SF_CLIENT_ID}
    username: ${env:SF_USERNAME}
    private_key: ${file:/etc/bridge/org.key}
streams:
  - channel: /data/AccountChangeEvent
  - channel: /event/Order__e
kafka:
  brokers: [localhost:9092]
registry:
  url: http://localhost:8081
`
}
