# What the worker and `misstep dlq` may do; docs/iam.md says why. Attach them to the roles that these
# run with.

data "aws_partition" "here" {}
data "aws_region" "here" {}
data "aws_caller_identity" "here" {}

locals {
  # A state machine's executions and Map runs have ARNs like its own, with another resource type and
  # something after the name: …:execution:NAME:*, …:mapRun:NAME/*, and of a Map run's children
  # …:execution:NAME/* (Standard) and …:express:NAME/* (Express).
  watched    = length(var.step_function_arns) == 0 ? ["${local.states}:stateMachine:*"] : var.step_function_arns
  readable   = concat(local.watched, var.child_state_machine_arns)
  executions = [for arn in local.readable : replace(arn, ":stateMachine:", ":execution:")]
  expresses  = [for arn in local.readable : replace(arn, ":stateMachine:", ":express:")]
  map_runs   = [for arn in local.readable : replace(arn, ":stateMachine:", ":mapRun:")]

  # Made here and not taken from the resources, so that a plan shows the policies, and refuses one that
  # is too long before anything is made.
  states = "arn:${data.aws_partition.here.partition}:states:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}"
  sqs    = "arn:${data.aws_partition.here.partition}:sqs:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}"

  queue_arn              = "${local.sqs}:${aws_sqs_queue.queue.name}"
  dead_letter_arn        = "${local.sqs}:${aws_sqs_queue.dead_letter.name}"
  target_dead_letter_arn = "${local.sqs}:${aws_sqs_queue.target_dead_letter.name}"

  read_executions = [
    {
      Sid    = "ReadExecutions"
      Effect = "Allow"
      Action = ["states:GetExecutionHistory", "states:DescribeExecution"]
      Resource = concat(
        [for arn in local.executions : "${arn}:*"],
        [for arn in local.executions : "${arn}/*"],
      )
    },
    # They have no history, and DescribeExecution tells their error.
    {
      Sid      = "DescribeExpressChildren"
      Effect   = "Allow"
      Action   = "states:DescribeExecution"
      Resource = [for arn in local.expresses : "${arn}/*"]
    },
    {
      Sid      = "ReadMapRuns"
      Effect   = "Allow"
      Action   = ["states:DescribeMapRun", "states:ListExecutions"]
      Resource = [for arn in local.map_runs : "${arn}/*"]
    },
  ]

  use_key = var.kms_key_arn == null ? [] : [
    {
      Sid      = "UseTheQueuesKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = var.kms_key_arn
    },
  ]

  read_encrypted = length(var.state_machine_key_arns) == 0 ? [] : [
    {
      Sid       = "ReadEncryptedExecutions"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = var.state_machine_key_arns
      Condition = { StringLike = { "kms:ViaService" = "states.*" } }
    },
  ]

  publish = length(var.notification_topic_arns) == 0 ? [] : [
    {
      Sid      = "Publish"
      Effect   = "Allow"
      Action   = ["sns:Publish", "sns:GetTopicAttributes"]
      Resource = var.notification_topic_arns
    },
  ]

  use_topic_keys = length(var.notification_key_arns) == 0 ? [] : [
    {
      Sid       = "UseTheTopicsKeys"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
      Resource  = var.notification_key_arns
      Condition = { StringLike = { "kms:ViaService" = "sns.*" } }
    },
  ]

  send_mail = length(var.notification_identity_arns) == 0 ? [] : [
    {
      Sid      = "SendMail"
      Effect   = "Allow"
      Action   = "ses:SendEmail"
      Resource = var.notification_identity_arns
    },
  ]

  # Made here for the same reason as the queues' ARNs.
  incident_table_arn = var.incident_table == null ? null : "arn:${data.aws_partition.here.partition}:dynamodb:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}:table/${var.incident_table}"

  keep_incidents = var.incident_table == null ? [] : [
    {
      Sid    = "KeepIncidents"
      Effect = "Allow"
      Action = [
        "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem",
        "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DescribeTable",
      ]
      Resource = local.incident_table_arn
    },
    {
      Sid      = "FindIncidentsThatAreDue"
      Effect   = "Allow"
      Action   = ["dynamodb:Query"]
      Resource = "${local.incident_table_arn}/index/due"
    },
  ]

  sweep_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ListExecutions"
        Effect   = "Allow"
        Action   = "states:ListExecutions"
        Resource = local.watched
      },
      # It has no resources.
      {
        Sid      = "ListStateMachines"
        Effect   = "Allow"
        Action   = "states:ListStateMachines"
        Resource = "*"
      },
      {
        Sid      = "PutMissingFailures"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = local.queue_arn
      },
    ]
  })

  logs_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadLogs"
        Effect   = "Allow"
        Action   = ["logs:GetLogEvents", "logs:FilterLogEvents"]
        Resource = var.log_group_arns
      },
    ]
  })

  worker_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "TakeFailures"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
          Resource = local.queue_arn
        },
        {
          Sid      = "SetAsideWhatCannotPass"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
          Resource = local.dead_letter_arn
        },
      ],
      local.use_key, local.read_executions, local.read_encrypted, local.publish, local.use_topic_keys, local.send_mail,
      local.keep_incidents,
    )
  })

  replay_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "LookAndTakeOut"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
          Resource = [local.dead_letter_arn, local.target_dead_letter_arn]
        },
        {
          Sid      = "LetSqsMoveAll"
          Effect   = "Allow"
          Action   = ["sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:CancelMessageMoveTask"]
          Resource = local.dead_letter_arn
        },
        {
          Sid      = "SendBack"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
          Resource = local.queue_arn
        },
      ],
      local.use_key, local.read_executions, local.read_encrypted,
    )
  })
}

resource "aws_iam_policy" "worker" {
  name_prefix = "${var.event_rule_name}-worker-"
  path        = var.iam_path
  description = "What the misstep worker may do"
  policy      = local.worker_policy
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(local.worker_policy) <= 6144
      error_message = "The worker's policy has ${length(local.worker_policy)} characters, and IAM takes 6144: name fewer of step_function_arns and child_state_machine_arns, or none to watch all."
    }
  }
}

# Of its own, since a policy has a limited length: attach it to the worker's role where incidents are kept.
resource "aws_iam_policy" "sweep" {
  name_prefix = "${var.event_rule_name}-sweep-"
  path        = var.iam_path
  description = "What the misstep worker needs to find failures whose events never arrived"
  policy      = local.sweep_policy
  tags        = local.tags
}

# Of its own, since a log may hold anything: attach it to the worker's role where routes show logs.
resource "aws_iam_policy" "logs" {
  count = length(var.log_group_arns) == 0 ? 0 : 1

  name_prefix = "${var.event_rule_name}-logs-"
  description = "What the misstep worker needs to show the last lines of logs"
  policy      = local.logs_policy
  tags        = local.tags
}

resource "aws_iam_policy" "replay" {
  name_prefix = "${var.event_rule_name}-replay-"
  path        = var.iam_path
  description = "What misstep dlq may do"
  policy      = local.replay_policy
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(local.replay_policy) <= 6144
      error_message = "The replay's policy has ${length(local.replay_policy)} characters, and IAM takes 6144: name fewer of step_function_arns and child_state_machine_arns, or none to watch all."
    }
  }
}
