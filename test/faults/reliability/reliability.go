// Package reliability makes docs/reliability.md out of what the fault suite counted. It does no I/O.
package reliability

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/hack/testsummary/summary"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/faults/mutation"
)

// Part is one kind of fault.
type Part struct {
	// Name is what make faults FAULTS=… and facts call it.
	Name string
	// Title and Text are for the page.
	Title, Text string
	// Folders below test/faults have its tests.
	Folders []string
}

// Result is what came of a part. It is kept as JSON, so that a part can be run again by itself.
type Result struct {
	// Part is its name, Commit the state of the program that was tested.
	Part     string         `json:"part"`
	Commit   string         `json:"commit"`
	Tests    summary.Counts `json:"tests"`
	Facts    []facts.Fact   `json:"facts,omitempty"`
	Failures []string       `json:"failures,omitempty"`
	Seconds  float64        `json:"seconds"`
}

// Kept is all that was found by the last run of each part.
type Kept struct {
	Results   []Result          `json:"results"`
	Mutations []mutation.Result `json:"mutations"`
}

// Keep puts a result in the place of the last one of its part.
func (k *Kept) Keep(r Result) {
	for i := range k.Results {
		if k.Results[i].Part == r.Part {
			k.Results[i] = r
			return
		}
	}
	k.Results = append(k.Results, r)
}

// Defect is one that the suite found.
type Defect struct {
	// Found by this seed, call or test.
	Found string `json:"found"`
	Wrong string `json:"wrong"`
	Fix   string `json:"fix"`
	// Kept by this test.
	Kept string `json:"kept"`
}

// Page is all that the page says.
type Page struct {
	Kept
	Defects []Defect
}

// ReadDefects reads a list of defects in YAML.
func ReadDefects(text []byte) ([]Defect, error) {
	var all []Defect
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		return nil, fmt.Errorf("read the list of defects: %w", err)
	}
	for i, d := range all {
		if d.Found == "" || d.Wrong == "" || d.Fix == "" || d.Kept == "" {
			return nil, fmt.Errorf("defect %d of the list does not say found, wrong, fix and kept", i+1)
		}
	}
	return all, nil
}

// Markdown is the page.
func (p Page) Markdown() string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("| part | tests passed | failed | skipped | minutes | of commit |\n|---|---:|---:|---:|---:|---|\n")
	var all float64
	for _, part := range Parts {
		if r, ran := p.result(part); ran {
			all += r.Seconds
			fmt.Fprintf(&b, "| [%s](#%s) | %d | %d | %d | %.1f | %s |\n",
				part.Title, anchor(part.Title), r.Tests.Passed, r.Tests.Failed, r.Tests.Skipped, r.Seconds/60, r.Commit)
		}
	}
	fmt.Fprintf(&b, "| all | | | | %.1f | |\n", all/60)
	for _, part := range Parts {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", part.Title, strings.TrimSpace(part.Text))
		r, _ := p.result(part)
		p.facts(&b, part, r)
	}
	p.mutations(&b)
	p.defects(&b)
	return b.String()
}

func (p Page) result(part Part) (Result, bool) {
	i := slices.IndexFunc(p.Results, func(r Result) bool { return r.Part == part.Name })
	if i < 0 {
		return Result{}, false
	}
	return p.Results[i], true
}

func (p Page) facts(b *strings.Builder, part Part, r Result) {
	folders := make([]string, 0, len(part.Folders))
	for _, f := range part.Folders {
		folders = append(folders, fmt.Sprintf("[test/faults/%s](../test/faults/%s)", f, f))
	}
	fmt.Fprintf(b, "\nTests: %s.\n", strings.Join(folders, ", "))
	if len(r.Facts) > 0 {
		b.WriteString("\n| counted | |\n|---|---:|\n")
	}
	for _, f := range total(r.Facts) {
		fmt.Fprintf(b, "| %s | %s |\n", cell(f.What), strings.TrimSpace(fmt.Sprintf("%.6g %s", f.Value, f.Unit)))
	}
	for _, f := range r.Failures {
		fmt.Fprintf(b, "\n**Failed:** %s\n", cell(f))
	}
}

// total keeps the order, and adds up what was counted in several places under one name.
func total(all []facts.Fact) []facts.Fact {
	var out []facts.Fact
	at := map[string]int{}
	for _, f := range all {
		if i, ok := at[f.What+f.Unit]; ok {
			out[i].Value += f.Value
			continue
		}
		at[f.What+f.Unit] = len(out)
		out = append(out, f)
	}
	return out
}

func (p Page) mutations(b *strings.Builder) {
	b.WriteString("\n## Would it notice?\n\n" + mutationText + "\n| taken away | noticed by |\n|---|---|\n")
	for _, m := range p.Mutations {
		noticed := "**nothing**"
		if m.Noticed != "" {
			noticed = fmt.Sprintf("`%s` (%s)", m.Noticed, m.Package)
		}
		fmt.Fprintf(b, "| %s | %s |\n", cell(m.Safeguard), cell(noticed))
	}
}

func (p Page) defects(b *strings.Builder) {
	b.WriteString("\n## What was found\n\n" + defectText)
	for _, d := range p.Defects {
		fmt.Fprintf(b, "\n- **%s** Found by %s. %s Kept by %s.\n", sentence(d.Wrong), line(d.Found), sentence(d.Fix), line(d.Kept))
	}
}

func line(s string) string { return strings.Join(strings.Fields(s), " ") }

func sentence(s string) string { return strings.TrimSuffix(line(s), ".") + "." }

// cell makes a text fit into a table.
func cell(s string) string { return strings.ReplaceAll(line(s), "|", `\|`) }

// anchor is what GitHub makes of a title.
func anchor(title string) string {
	keep := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(title))
}
