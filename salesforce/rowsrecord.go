package salesforce

import "bytes"

// readRecord fills the cells from a record of the REST API. The text is valid
// JSON and not checked again.
func (w *rowWriter) readRecord(record []byte) error {
	clear(w.cells)
	i := skipSpace(record, 0)
	if i == len(record) || record[i] != '{' {
		return w.failure("", "", "the record is not an object")
	}
	for i = skipSpace(record, i+1); record[i] != '}'; i = skipSpace(record, i) {
		if record[i] == ',' {
			i++
			continue
		}
		end := skipString(record, i)
		name := record[i+1 : end-1]
		i = skipSpace(record, skipSpace(record, end)+1) // the colon
		end = skipValue(record, i)
		value := record[i:end]
		i = end
		at, known := w.form.byName[string(name)]
		switch {
		case known && w.cells[at].set:
			return w.failure("", w.form.columns[at].name, "comes twice")
		case known && string(value) == "null":
			w.cells[at].set = true
		case known:
			w.cells[at] = cell{text: value, set: true}
		case string(name) != "attributes":
			return w.failure("", string(name), "was not asked for")
		}
	}
	return nil
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && text[i] <= ' ' {
		i++
	}
	return i
}

// skipString returns the place after the string that begins at i.
func skipString(text []byte, i int) int {
	for i++; ; {
		i += bytes.IndexByte(text[i:], '"') + 1
		escapes := 0
		for text[i-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// skipValue returns the place after the value that begins at i.
func skipValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
		for depth := 0; ; {
			switch text[i] {
			case '"':
				i = skipString(text, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(text) && text[i] > ' ' && text[i] != ',' && text[i] != '}' && text[i] != ']' {
		i++
	}
	return i
}
