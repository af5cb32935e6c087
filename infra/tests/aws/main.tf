# What infra/tests/aws.sh deploys on a real AWS account: the module, state machines that fail in eight ways, a role
# with the worker's policy and nothing else, and a second rule that lets everything in, to see what AWS sends.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.8"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]
}

variable "account" {
  description = "The account to deploy on. No other is touched."
  type        = string
}

variable "region" {
  description = "Its region."
  type        = string
}

variable "name" {
  description = "What everything is called, or begins with."
  type        = string
}

variable "identity" {
  description = "A verified SES identity that the worker may send mail as; none if empty."
  type        = string
  default     = ""
}

locals {
  tripped = { Type = "Fail", Error = "Tripped", Cause = "on purpose" }
  arn     = "arn:aws:states:${var.region}:${var.account}:stateMachine:${var.name}"

  distributed_map = {
    for mode in ["STANDARD", "EXPRESS"] : mode => {
      StartAt = "Orders"
      States = {
        Orders = {
          Type  = "Map"
          End   = true
          Label = "PerOrder"
          ItemProcessor = {
            ProcessorConfig = { Mode = "DISTRIBUTED", ExecutionType = mode }
            StartAt         = "Charge"
            States          = { Charge = local.tripped }
          }
        }
      }
    }
  }

  definitions = {
    fails = { StartAt = "Charge", States = { Charge = local.tripped } }
    caught = {
      StartAt = "Charge"
      States = {
        # The role may not, so that the task fails.
        Charge = {
          Type       = "Task"
          Resource   = "arn:aws:states:::aws-sdk:s3:listBuckets"
          Parameters = {}
          Catch      = [{ ErrorEquals = ["States.ALL"], Next = "GiveUp" }]
          End        = true
        }
        GiveUp = { Type = "Fail", Error = "GaveUp", Cause = "after Charge" }
      }
    }
    times-out = {
      StartAt        = "Wait"
      TimeoutSeconds = 5
      States         = { Wait = { Type = "Wait", Seconds = 600, End = true } }
    }
    is-aborted = { StartAt = "Wait", States = { Wait = { Type = "Wait", Seconds = 600, End = true } } }
    nested = {
      StartAt = "Child"
      States = {
        Child = {
          Type       = "Task"
          Resource   = "arn:aws:states:::states:startExecution.sync:2"
          Parameters = { StateMachineArn = "${local.arn}-fails", Input = {} }
          End        = true
        }
      }
    }
    map-standard = local.distributed_map["STANDARD"]
    map-express  = local.distributed_map["EXPRESS"]
    encrypted    = { StartAt = "Charge", States = { Charge = local.tripped } }
  }

  # Not among the eight ways: 60 states that each copy a large input, and one that adds a long cause to it.
  large = {
    StartAt = "Copy1"
    States = merge(
      { for number in range(1, 61) : "Copy${number}" => { Type = "Pass", Next = number == 60 ? "Charge" : "Copy${number + 1}" } },
      { Charge = { Type = "Fail", Error = "Tripped", Cause = join("", [for number in range(3000) : "0123456789"]) } },
    )
  }
}

module "misstep" {
  source = "../../terraform"

  application_name     = "misstep on AWS"
  env                  = "try"
  event_rule_name      = var.name
  internal_group_email = "nobody@example.com"
  external_group_email = "nobody@example.com"
  notification_api     = "https://notify.invalid/"

  step_function_arns     = [for machine in aws_sfn_state_machine.failing : machine.arn]
  state_machine_key_arns = [aws_kms_key.executions.arn]

  notification_identity_arns = var.identity == "" ? [] : ["arn:aws:ses:${var.region}:${var.account}:identity/${var.identity}"]
}

# The same, for all state machines: its rule's pattern is asked about, and nothing of it is used.
module "of_all" {
  source = "../../terraform"

  application_name     = "misstep on AWS"
  env                  = "try"
  event_rule_name      = "${var.name}-all"
  internal_group_email = "nobody@example.com"
  external_group_email = "nobody@example.com"
  notification_api     = "https://notify.invalid/"
}

resource "aws_kms_key" "executions" {
  description             = var.name
  deletion_window_in_days = 7
}

resource "aws_sfn_state_machine" "failing" {
  for_each = local.definitions

  name       = "${var.name}-${each.key}"
  role_arn   = aws_iam_role.executions.arn
  definition = jsonencode(each.value)

  dynamic "encryption_configuration" {
    for_each = each.key == "encrypted" ? [aws_kms_key.executions.arn] : []

    content {
      type                              = "CUSTOMER_MANAGED_KMS_KEY"
      kms_key_id                        = encryption_configuration.value
      kms_data_key_reuse_period_seconds = 300
    }
  }

  depends_on = [aws_iam_role_policy.executions]
}

resource "aws_sfn_state_machine" "large" {
  name       = "${var.name}-large"
  role_arn   = aws_iam_role.executions.arn
  definition = jsonencode(local.large)
}

resource "aws_iam_role" "executions" {
  name = "${var.name}-executions"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
    }]
  })
}

resource "aws_iam_role_policy" "executions" {
  name = "executions"
  role = aws_iam_role.executions.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"]
        Resource = ["${local.arn}-*", "${replace(local.arn, ":stateMachine:", ":execution:")}-*"]
      },
      {
        Effect   = "Allow"
        Action   = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
        Resource = "arn:aws:events:${var.region}:${var.account}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.executions.arn
      },
    ]
  })
}

# The worker's, for whoever runs the script.
resource "aws_iam_role" "worker" {
  name = "${var.name}-worker"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = "arn:aws:iam::${var.account}:root" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "worker" {
  role       = aws_iam_role.worker.name
  policy_arn = module.misstep.worker_policy_arn
}

# Takes what AWS sends of the state machines here, children of Map runs included.
resource "aws_sqs_queue" "seen" {
  name             = "${var.name}-seen"
  max_message_size = 1024 * 1024
}

resource "aws_sqs_queue_policy" "seen" {
  queue_url = aws_sqs_queue.seen.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.seen.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.seen.arn } }
    }]
  })
}

resource "aws_cloudwatch_event_rule" "seen" {
  name = "${var.name}-seen"

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      stateMachineArn = [{ prefix = local.arn }]
    }
  })
}

resource "aws_cloudwatch_event_target" "seen" {
  rule       = aws_cloudwatch_event_rule.seen.name
  arn        = aws_sqs_queue.seen.arn
  depends_on = [aws_sqs_queue_policy.seen]
}

output "queue_url" {
  value = module.misstep.queue_url
}

output "dead_letter_queue_url" {
  value = module.misstep.dead_letter_queue_url
}

output "target_dead_letter_queue_url" {
  value = module.misstep.target_dead_letter_queue_url
}

output "seen_queue_url" {
  value = aws_sqs_queue.seen.id
}

output "rule_of_all" {
  value = split("/", module.of_all.event_rule_arn)[1]
}

output "worker_role_arn" {
  value = aws_iam_role.worker.arn
}

output "state_machine_arns" {
  value = { for name, machine in aws_sfn_state_machine.failing : name => machine.arn }
}

output "large_state_machine_arn" {
  value = aws_sfn_state_machine.large.arn
}
