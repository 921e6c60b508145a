package report

import (
	"fmt"
	"strings"
)

// Markdown is the page about a report. Plots are linked as SVG files in the folder named plots, as seen from the page.
func Markdown(r Report, plots string) string {
	w := &strings.Builder{}
	w.WriteString(`<!-- Written by make bench. Do not edit. -->
# Benchmarks

How fast runtag is beside what people use today. All numbers of a row come from one run on one machine, runtag and its
peers in turn. Targets are ratios within that run or counts, so that they mean the same on another machine; times are
told and judged by nobody. Where a target is missed, the row's notes say why.

To measure it yourself: ` + "`make bench`" + ` from a clean clone (Go, Python 3 and half an hour; it fetches the rest), or
` + "`make bench BENCH=1,4`" + ` for some rows. The numbers below are also in
[benchmarks.json](` + plots + `/benchmarks.json).

`)
	machine(w, r.Machine)
	overview(w, r.Rows)
	for _, row := range r.Rows {
		section(w, row, plots)
	}
	return w.String()
}

func machine(w *strings.Builder, facts []Fact) {
	if len(facts) == 0 {
		return
	}
	w.WriteString("| machine | |\n|---|---|\n")
	for _, f := range facts {
		fmt.Fprintf(w, "| %s | %s |\n", cell(f.Name), cell(f.Value))
	}
	w.WriteString("\n")
}

// overview is the table of all targets, a line for each.
func overview(w *strings.Builder, rows []Row) {
	w.WriteString("| # | measure | target | got | |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		if row.Error != "" || len(row.Checks) == 0 {
			fmt.Fprintf(w, "| %d | %s | | could not be measured | **missed** |\n", row.Number, cell(row.Name))
		}
		for _, c := range row.Checks {
			verdict := c.verdict()
			if !c.Hit() {
				verdict = "**" + verdict + "**"
			}
			fmt.Fprintf(w, "| %d | %s | %s | %s | %s |\n", row.Number, cell(c.What), c.target(), c.got(), verdict)
		}
	}
	w.WriteString("\n")
}

func section(w *strings.Builder, row Row, plots string) {
	fmt.Fprintf(w, "## %d. %s\n\n", row.Number, row.Name)
	if row.Error != "" {
		fmt.Fprintf(w, "It could not be measured:\n\n```\n%s\n```\n\n", strings.ReplaceAll(row.Error, "```", "'''"))
	}
	if len(row.Figures) > 0 {
		w.WriteString("| figure | value | of which |\n|---|---|---|\n")
		for _, f := range row.Figures {
			own := ""
			if f.Whose != "" {
				own = f.Whose + ": " + quantity(f.Own, f.Unit)
			}
			fmt.Fprintf(w, "| %s | %s | %s |\n", cell(f.What), quantity(f.Value, f.Unit), cell(own))
		}
		w.WriteString("\n")
	}
	for _, note := range row.Notes {
		fmt.Fprintf(w, "%s\n\n", note)
	}
	for _, p := range row.Plots {
		fmt.Fprintf(w, "![%s](%s/%s.svg)\n\n", p.Title, plots, p.File)
	}
	for _, p := range row.Profiles {
		fmt.Fprintf(w, "<details><summary>%s</summary>\n\n```\n%s\n```\n\n</details>\n\n", p.Title, p.Text)
	}
	fmt.Fprintf(w, "Took %s", quantity(row.Seconds, "s"))
	if row.Commit != "" {
		fmt.Fprintf(w, " at commit %s", row.Commit)
	}
	fmt.Fprintf(w, "; the machine's load average was %.2f when it began.\n\n", row.Load)
}

// cell makes a text fit for a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
