package pyenv

import (
	"os/exec"
	"testing"
)

func TestEnsureGivesAPythonWithBothClients(t *testing.T) {
	if testing.Short() {
		t.Skip("may install packages")
	}
	python, err := Ensure(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	script := `import importlib.metadata as m; assert (m.version("mlflow"), m.version("wandb")) == ("3.17.2", "0.31.0")`
	if out, err := exec.CommandContext(t.Context(), python, "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", python, err, out)
	}
}

func TestEnsureOutsideTheWorkTreeSaysSo(t *testing.T) {
	t.Chdir("/")
	if python, err := Ensure(t.Context(), t.Output()); err == nil {
		t.Fatalf("found a script from /: %s", python)
	}
}
