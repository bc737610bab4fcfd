package term

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// mostHelp is how many characters a line of help has on a wide terminal.
const mostHelp = 120

// FitHelp has the help of a tree fit the terminal.
func FitHelp(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		width := min(WidthOf(out), mostHelp)
		if width == 0 {
			help(cmd, args)
			return
		}
		var text strings.Builder
		cmd.SetOut(&text)
		help(cmd, args)
		cmd.SetOut(out)
		fmt.Fprint(out, reflow(text.String(), width))
	})
}

// item is the beginning of a line of help about a command or a flag, up to what is said about it.
var item = regexp.MustCompile(`^ +\S+(?: \S+)* {2,}`)

// reflow makes the paragraphs and lists of a help text so wide. Other lines that begin with a space, such as examples, stay as they are.
func reflow(text string, width int) string {
	var b strings.Builder
	var paragraph []string
	end := func() {
		if paragraph != nil {
			b.WriteString(Wrap(strings.Join(paragraph, " "), width, ""))
		}
		paragraph = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		end()
		head := item.FindString(line)
		switch {
		case head == "" || len(head) > width/2:
			b.WriteString(line + "\n")
		default:
			b.WriteString(head + Wrap(line[len(head):], width-len(head), strings.Repeat(" ", len(head))))
		}
	}
	end()
	return b.String()
}

// Wrap breaks a text into lines of at most so many characters, with an indent, which is not counted, before all but the first. 0: one line.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		n := WidthOfText(word)
		switch {
		case i == 0:
		case width > 0 && column+1+n > width:
			b.WriteString("\n" + indent)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}
