#!/usr/bin/env bash
# Deploys infra/terraform on a real AWS account, lets executions fail in eight ways, compares what misstep notified,
# prints what AWS does where its documentation is silent, and destroys everything.
#
#   cargo build --release
#   infra/tests/aws.sh --account 123456789012 --region eu-west-1
#
# Needs: the AWS CLI with credentials that may make all of it and assume a role of the account, Terraform with its
# registry, Python 3. Costs a few cents; the KMS key is billed until its deletion after seven days.
#
# It is linted (infra/tests/test_aws.py) and WAS NEVER RUN: expect to mend it on the first try.
set -euo pipefail

usage() {
    echo "usage: $0 --account ID --region REGION [--misstep PROGRAM] [--identity SES_IDENTITY]" >&2
    exit 2
}

say() { printf '\n== %s\n' "$*"; }
# An answer to a question that AWS's documentation leaves open.
answer() { printf 'AWS: %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    failures=$((failures + 1))
}

failures=0
account='' region='' identity=''
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
misstep=$here/../../target/release/misstep
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --account) account=$2 ;;
        --region) region=$2 ;;
        --misstep) misstep=$2 ;;
        --identity) identity=$2 ;;
        *) usage ;;
    esac
    shift 2
done
[[ $account =~ ^[0-9]{12}$ && $region =~ ^[a-z]{2}(-[a-z]+)+-[0-9]$ ]] || usage

# The account has to be named, and to be the one that the credentials are for: nothing is made by mistake.
export AWS_REGION=$region AWS_PAGER=''
actual=$(aws sts get-caller-identity --query Account --output text)
if [ "$actual" != "$account" ]; then
    echo "the credentials are for the account $actual, and --account says $account: nothing was done" >&2
    exit 1
fi
[ -x "$misstep" ] || {
    echo "$misstep is not there: cargo build --release, or --misstep PROGRAM" >&2
    exit 1
}

name=misstep-try-$(date +%s)
work=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX")
module=$here/aws
tf() { TF_DATA_DIR=$work/terraform terraform -chdir="$module" "$@"; }
variables=(-var "account=$account" -var "region=$region" -var "name=$name" -var "identity=$identity")

# shellcheck disable=SC2317,SC2329 # called by the trap
destroy() {
    status=$?
    trap - EXIT INT TERM
    say "destroying everything"
    if tf destroy -auto-approve -input=false -state="$work/terraform.tfstate" "${variables[@]}"; then
        rm -rf "$work"
    else
        echo "NOT ALL WAS DESTROYED. What is left is called $name…; the state is $work/terraform.tfstate:" >&2
        echo "  TF_DATA_DIR=$work/terraform terraform -chdir=$module destroy -state=$work/terraform.tfstate ${variables[*]}" >&2
        status=1
    fi
    exit "$status"
}
trap destroy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "deploying $name on account $account in $region"
tf init -input=false
tf apply -auto-approve -input=false -state="$work/terraform.tfstate" "${variables[@]}"
output() { tf output -state="$work/terraform.tfstate" -raw "$1"; }
tf output -state="$work/terraform.tfstate" -json state_machine_arns > "$work/machines.json"
machine() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/machines.json" "$1"; }
queue_url=$(output queue_url)
seen_url=$(output seen_queue_url)

say "the rule's pattern, by EventBridge itself"
pattern=$(aws events describe-rule --name "$(output rule_of_all)" --query EventPattern --output text)
matches() { # the state machine's name
    python3 "$here/aws/look.py" event "$account" "$region" "$1" > "$work/event.json"
    aws events test-event-pattern --event-pattern "$pattern" --event "file://$work/event.json" --query Result --output text
}
[ "$(matches orders)" = True ] || fail "the pattern keeps a failed execution out"
[ "$(matches orders/PerOrder)" = False ] || fail "the pattern lets a child of a Map run in"

say "letting executions fail in eight ways"
start() { # machine, input
    aws stepfunctions start-execution --state-machine-arn "$(machine "$1")" --input "$2" --query executionArn --output text
}
: > "$work/executions"
for way in fails caught times-out is-aborted nested encrypted; do
    echo "$way $(start "$way" '{"order": 7}')" >> "$work/executions"
done
for way in map-standard map-express; do
    echo "$way $(start "$way" '[1, 2, 3]')" >> "$work/executions"
done
aborted=$(awk '$1 == "is-aborted" { print $2 }' "$work/executions")
sleep 3
aws stepfunctions stop-execution --execution-arn "$aborted" > "$work/stopped.json"
python3 "$here/aws/look.py" large-input > "$work/large.json"
large=$(aws stepfunctions start-execution --state-machine-arn "$(output large_state_machine_arn)" \
    --input "file://$work/large.json" --query executionArn --output text)

status_of() { aws stepfunctions describe-execution --execution-arn "$1" --query status --output text; }
while read -r _ execution; do
    for _ in $(seq 60); do
        [ "$(status_of "$execution")" = RUNNING ] || break
        sleep 2
    done
done < <(cat "$work/executions"; echo "large $large")

say "waiting for the events"
waiting() {
    aws sqs get-queue-attributes --queue-url "$1" --attribute-names ApproximateNumberOfMessages \
        --query Attributes.ApproximateNumberOfMessages --output text
}
# Eight, and the child of `nested`.
for _ in $(seq 60); do
    [ "$(waiting "$queue_url")" -ge 9 ] && break
    sleep 3
done

say "the worker, with its own policy and nothing else"
for _ in $(seq 30); do
    # A role is there for IAM some seconds after it was made.
    aws sts assume-role --role-arn "$(output worker_role_arn)" --role-session-name misstep \
        --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text > "$work/credentials" && break
    sleep 5
done
read -r key secret token < "$work/credentials"
cat > "$work/misstep.toml" <<TOML
[[routes]]
name = "archive"
audience = "archive"
channel = "file"
path = "$work/notified.jsonl"
redaction = "off"
TOML
as_worker() {
    env -u AWS_PROFILE AWS_ACCESS_KEY_ID="$key" AWS_SECRET_ACCESS_KEY="$secret" AWS_SESSION_TOKEN="$token" \
        MISSTEP_CONFIG="$work/misstep.toml" MISSTEP_QUEUE_URL="$queue_url" \
        MISSTEP_DLQ_URL="$(output dead_letter_queue_url)" MISSTEP_ENV=try MISSTEP_ADMIN_ADDR=off \
        MISSTEP_STEP_FUNCTION_ARNS="$(python3 -c 'import json, sys; print(",".join(json.load(open(sys.argv[1])).values()))' "$work/machines.json")" \
        "$@"
}
as_worker "$misstep" check || fail "misstep check found something wrong"
as_worker timeout 900 "$misstep" work --until-empty || fail "the worker ended with $?"

say "what it notified"
python3 "$here/aws/look.py" notified "$work/executions" "$work/notified.jsonl" || fail "not what was expected"
for url in dead_letter_queue_url target_dead_letter_queue_url; do
    [ "$(waiting "$(output "$url")")" = 0 ] || fail "something is in $url"
done

say "where AWS's documentation is silent"
python3 "$here/aws/look.py" events "$seen_url" "$region" "$large"
aws stepfunctions get-execution-history --execution-arn "$large" --reverse-order --max-results 1000 --no-paginate \
    --output json > "$work/page.json"
answer "$(python3 "$here/aws/look.py" page "$work/page.json")"

definition=$(aws ecs register-task-definition --family "$name" --requires-compatibilities FARGATE --network-mode awsvpc \
    --cpu 256 --memory 512 --query taskDefinition.taskDefinitionArn --output text --container-definitions \
    '[{"name": "misstep", "image": "misstep", "linuxParameters": {"capabilities": {"add": [], "drop": ["ALL"]}}}]')
answer "ECS gives capabilities back as $(aws ecs describe-task-definition --task-definition "$definition" --output json \
    --query 'taskDefinition.containerDefinitions[0].linuxParameters.capabilities' | tr -d '\n') (given: add = [], drop = [ALL];
     where add is gone, every plan of the Fargate example replaces the task definition)"
aws ecs deregister-task-definition --task-definition "$definition" > "$work/deregistered.json"

if [ -n "$identity" ]; then
    [[ $identity == *@* ]] && from=$identity || from=misstep@$identity
    if as_worker aws sesv2 send-email --from-email-address "$from" \
        --destination ToAddresses=success@simulator.amazonses.com \
        --content 'Simple={Subject={Data=misstep},Body={Text={Data=test}}}' > "$work/mail.json"; then
        answer "ses:SendEmail of $identity is allowed with the identity as its only resource"
    else
        answer "ses:SendEmail of $identity is refused with the identity as its only resource: has it a default configuration set?"
    fi
else
    answer "not asked: whether ses:SendEmail of an identity with a default configuration set needs that set as a resource too
     (--identity NAME of a verified identity that has one)"
fi

say "$failures checks failed"
[ "$failures" = 0 ]
