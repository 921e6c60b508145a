package rules

import "strings"

// namespaceAlias stands for the variable namespace, a word that CEL reserves and never uses. It is as long as the word,
// so that positions stay.
const (
	namespaceWord  = "namespace"
	namespaceAlias = "nameSpace"
)

// forParser gives an expression as the parser takes it: the variable namespace by its alias, wherever it is neither in a
// string or comment nor a field.
func forParser(expression string) string {
	if !strings.Contains(expression, namespaceWord) {
		return expression
	}
	var out strings.Builder
	for i, field := 0, false; i < len(expression); {
		n, word := token(expression[i:])
		piece := expression[i : i+n]
		if word && !field && piece == namespaceWord {
			piece = namespaceAlias
		}
		out.WriteString(piece)
		if strings.TrimSpace(piece) != "" && !strings.HasPrefix(piece, "//") {
			field = piece == "."
		}
		i += n
	}
	return out.String()
}

// fromParser gives text of the parser as people wrote it.
func fromParser(text string) string { return strings.ReplaceAll(text, namespaceAlias, namespaceWord) }

// token tells how long the first token of an expression is, and whether it is a word.
func token(s string) (length int, word bool) {
	switch {
	case strings.HasPrefix(s, "//"):
		if end := strings.IndexByte(s, '\n'); end >= 0 {
			return end, false
		}
		return len(s), false
	case isQuote(s[0]):
		return literal(s, false), false
	case !isWord(s[0]):
		return 1, false
	}
	n := 1
	for n < len(s) && isWord(s[n]) {
		n++
	}
	if n < len(s) && n <= 2 && isQuote(s[n]) {
		if prefix := strings.ToLower(s[:n]); strings.Trim(prefix, "rb") == "" {
			return n + literal(s[n:], strings.Contains(prefix, "r")), false
		}
	}
	return n, true
}

// literal tells how long the string at the start is; one that does not end reaches to the end.
func literal(s string, raw bool) int {
	quote := s[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s, triple) {
		quote = triple
	}
	for i := len(quote); i < len(s); i++ {
		if s[i] == '\\' && !raw {
			i++
			continue
		}
		if strings.HasPrefix(s[i:], quote) {
			return i + len(quote)
		}
	}
	return len(s)
}

func isQuote(c byte) bool { return c == '\'' || c == '"' }

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
